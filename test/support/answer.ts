import type { Context, GenerationOptions, GenerationResult } from "llama-steer";
import { chatContext, chatModel, question } from "./testbed.js";

/** The chat model's answer to one question, in a context of its own. */
export async function answer(
    text: string,
    options: GenerationOptions = {},
    makeContext: () => Promise<Context> = chatContext,
): Promise<GenerationResult> {
    const context = await makeContext();
    try {
        return await context.sequence().generate(question(text), options).result();
    } finally {
        await context.dispose();
    }
}

/** A logit bias that keeps the chat model from ending its answer. */
export async function endless(): Promise<Map<number, number>> {
    const { tokenizer } = await chatModel();
    const all = Array.from({ length: tokenizer.vocabularySize }, (_, token) => token);
    const ends = all.filter((token) => tokenizer.isEndOfGeneration(token));
    return new Map(ends.map((token) => [token, Number.NEGATIVE_INFINITY]));
}
