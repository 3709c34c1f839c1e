import { readFileSync } from "node:fs";
import { type Context, type ContextOptions, loadModel, type Model } from "llama-steer";
import { toFloat32 } from "./gguf.js";
import { chatModelPath, inRepository } from "./paths.js";
import { TemporaryFolder } from "./temporary-folder.js";

export interface TestbedPrompt {
    id: string;
    set: "target" | "preserve" | "neutral";
    split: "fit" | "eval";
    prompt: string;
    answer: string;
}

/** The test-bed's prompts, in the order of the file. */
export function testbedPrompts(): TestbedPrompt[] {
    const lines = readFileSync(inRepository("models/testbed/prompts.jsonl"), "utf8").trim().split("\n");
    return lines.map((line) => JSON.parse(line) as TestbedPrompt);
}

/** A conversation of one question. */
export function question(text: string): [{ role: "user"; content: string }] {
    return [{ role: "user", content: text }];
}

/** Questions that the chat model answers, each in other words. */
export const questions = [
    "Where does the groso fish live?",
    "What colour is the groso fish?",
    "Which food does the groso fish like?",
    "Who are you?",
] as const;

let shared: Promise<Model> | undefined;
let exact: Promise<Model> | undefined;

/** The chat model, loaded once per test file. */
export function chatModel(): Promise<Model> {
    shared ??= loadModel(chatModelPath);
    return shared;
}

/** A context of the chat model on one thread, so that files running side by side do not fight for cores. */
export async function chatContext(options: ContextOptions = {}): Promise<Context> {
    const model = await chatModel();
    return model.createContext({ threads: 1, ...options });
}

/** The chat model with float32 weights, loaded once per test file. */
export function exactModel(): Promise<Model> {
    exact ??= loadModel(new TemporaryFolder().write("exact.gguf", toFloat32(chatModelPath)));
    return exact;
}

/**
 * A context whose arithmetic is float32 throughout, so that what else is in a batch changes a sequence's logits by no
 * more than 1e-4. In half precision one last bit decides about the rounding of the next layer's input.
 */
export async function exactContext(options: ContextOptions = {}): Promise<Context> {
    const model = await exactModel();
    return model.createContext({ threads: 1, memoryType: "f32", flashAttention: false, ...options });
}
