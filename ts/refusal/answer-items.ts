import { type ChatMessage, type Context, SteerError } from "../index.js";
import type { AskedAnswer } from "./answerer.js";
import type { AnswerPrompt, AnswerSteering, SampleSettings } from "./answers.js";
import { contentKey } from "./content-key.js";
import { messagesOf } from "./prompt-rows.js";
import { defaultThoughtMarkers } from "./thoughts.js";

/** One answer to be sampled. */
export interface AnswerItem extends AskedAnswer {
    /** Of all that decides the answer. */
    key: string;
    sample: number;
    steering: AnswerSteering | undefined;
}

/**
 * The answers to be sampled, prompt by prompt. A greedy answer has the same key for every sample.
 *
 * @throws SteerError PROMPT_TOO_LONG, with the prompt's id
 */
export function answerItems(
    context: Context,
    prompts: readonly AnswerPrompt[],
    settings: SampleSettings,
): AnswerItem[] {
    const { samples, temperature, topK, topP, minP, maxTokens, seed, system, answerer } = settings;
    const thoughts = settings.thoughts ?? defaultThoughtMarkers;
    const sampling = { temperature, topK, topP, minP, maxTokens, thoughts, seed };
    return prompts.flatMap(({ id, prompt }, i) => {
        const messages: ChatMessage[] = messagesOf(prompt, system);
        const tokens = context.model.encodePrompt(messages);
        const steering = Array.isArray(settings.steering) ? settings.steering[i] : settings.steering;
        const model = steering === undefined && answerer !== undefined ? answerer.id : settings.model;
        checkLength(id, tokens.length, context.options.contextSize);
        return Array.from({ length: samples }, (_, sample) => {
            const number = temperature === 0 ? 0 : sample;
            return {
                key: contentKey("answer", tokens, { ...sampling, model, steering: steering?.key }, number),
                prompt: id,
                sample,
                messages,
                tokens,
                // Of the prompt alone: baseline and steered answers draw the same numbers, which makes them comparable.
                seed: Number.parseInt(contentKey("seed", seed, tokens, number).slice(0, 8), 16),
                steering,
            };
        });
    });
}

function checkLength(id: string, length: number, contextSize: number): void {
    if (length >= contextSize) {
        throw new SteerError(
            "PROMPT_TOO_LONG",
            `prompt ${id} has ${length} tokens, the context room for ${contextSize}, the answer included: shorten it, ` +
                "leave it out, or create the context with a larger contextSize",
        );
    }
}
