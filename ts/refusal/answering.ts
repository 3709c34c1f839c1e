import type { Context, Model } from "../index.js";
import { SteerError } from "../index.js";
import { fileFingerprint } from "./content-key.js";
import type { EvaluateSettings, FitSettings } from "./pipeline-options.js";
import type { Prompt } from "./prompt.js";
import { messagesOf } from "./prompt-rows.js";
import { threadsFor } from "./threads.js";
import type { AnswerMaker } from "./trials.js";

export interface Answering extends AsyncDisposable {
    maker: AnswerMaker;
    fingerprint: string;
    context: Context;
    threads: number | undefined;
}

/**
 * Opens what answers the prompts of a run: a context with room for each prompt and its answer.
 *
 * @throws SteerError PROMPT_TOO_LONG (with the prompt's id), CHAT_TEMPLATE_MISSING, OUT_OF_MEMORY, FILE_NOT_FOUND
 */
export async function openAnswering(
    settings: FitSettings | EvaluateSettings,
    prompts: readonly Prompt[],
): Promise<Answering> {
    const { model, modelPath, judge, answerer, system, maxTokens, run, signal, onEvent } = settings;
    const fingerprint = await fileFingerprint(modelPath);
    const threads = settings.threads ?? threadsFor(model);
    const context = await model.createContext({
        sequences: settings.sequences,
        contextSize: settings.contextSize ?? roomFor(model, prompts, system, maxTokens),
        // On a CPU a token looks at the memory of all sequences where they share one.
        unifiedMemory: model.onDevice,
        ...(threads === undefined ? {} : { threads }),
    });
    const seed = "seed" in settings ? settings.seed : 0;
    const options = { answerer, maxTokens, seed, system, run, model: fingerprint, signal, onEvent };
    return {
        maker: { context, judge, options },
        fingerprint,
        context,
        threads,
        [Symbol.asyncDispose]: () => context.dispose(),
    };
}

/** Tokens of the longest prompt and its answer, or what the model was trained for if that is less. */
function roomFor(model: Model, prompts: readonly Prompt[], system: string | undefined, maxTokens: number): number {
    const { trainingContext } = model.info;
    let longest = 0;
    for (const { id, prompt } of prompts) {
        const { length } = model.encodePrompt(messagesOf(prompt, system));
        if (trainingContext > 0 && length >= trainingContext) {
            throw new SteerError(
                "PROMPT_TOO_LONG",
                `prompt ${id} has ${length} tokens, the model's context ${trainingContext}, the answer included: shorten ` +
                    "it or leave it out",
            );
        }
        longest = Math.max(longest, length);
    }
    const wanted = longest + maxTokens;
    return trainingContext > 0 ? Math.min(wanted, trainingContext) : wanted;
}
