import { type Context, SteerError } from "../index.js";
import type { AnswerPrompt, AnswerSteering, SampleSettings } from "./answers.js";
import { contentKey } from "./content-key.js";
import { defaultThoughtMarkers } from "./thoughts.js";

/** One answer to be sampled. */
export interface AnswerItem {
    /** Of all that decides the answer. */
    key: string;
    prompt: string;
    sample: number;
    tokens: Int32Array;
    /** 0 .. 2^32-1. */
    seed: number;
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
    const { samples, temperature, topK, topP, minP, maxTokens, seed, system, model } = settings;
    const thoughts = settings.thoughts ?? defaultThoughtMarkers;
    const sampling = { temperature, topK, topP, minP, maxTokens, thoughts, seed, model };
    return prompts.flatMap(({ id, prompt }, i) => {
        const user = { role: "user", content: prompt };
        const messages = system === undefined ? [user] : [{ role: "system", content: system }, user];
        const tokens = context.model.encodePrompt(messages);
        const steering = Array.isArray(settings.steering) ? settings.steering[i] : settings.steering;
        checkLength(id, tokens.length, context.options.contextSize);
        return Array.from({ length: samples }, (_, sample) => {
            const number = temperature === 0 ? 0 : sample;
            return {
                key: contentKey("answer", tokens, { ...sampling, steering: steering?.key }, number),
                prompt: id,
                sample,
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
