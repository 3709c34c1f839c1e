import type { Command } from "commander";
import { type PromptFile, type PromptSet, promptSets } from "../refusal/index.js";
import { gathered, text, whole } from "./option-values.js";

/** Options about prompts and their answers. */
export interface AnswerOptions {
    prompts: string[];
    samples?: number;
    maxTokens?: number;
    seed?: number;
    sequences?: number;
    system?: string;
}

export function withAnswerOptions(target: Command): Command {
    return target
        .requiredOption(
            "--prompts <file...>",
            "JSON Lines, JSON, CSV or parquet; SET=FILE where a file does not say its set: target, preserve or neutral",
            gathered,
        )
        .option("--samples <n>", "answers sampled of each prompt", whole(1, 1000))
        .option("--max-tokens <n>", "of an answer", whole(1, 1 << 20))
        .option("--seed <n>", "of splits and samples", whole(0))
        .option("--sequences <n>", "answers computed side by side", whole(1, 256))
        .option("--system <text>", "a system message before each prompt", text);
}

/** What `--prompts` names: files, or SET=FILE. */
export function promptFiles(values: readonly string[]): (string | PromptFile)[] {
    return values.map((value) => {
        const at = value.indexOf("=");
        const set = value.slice(0, Math.max(0, at)) as PromptSet;
        return promptSets.includes(set) ? { set, path: value.slice(at + 1) } : value;
    });
}
