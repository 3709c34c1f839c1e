import type { Command } from "commander";
import { type PromptFile, type PromptSet, promptSets } from "../refusal/index.js";
import { gathered, text, whole } from "./option-values.js";

/** Options about prompts and their answers. */
export interface AnswerOptions {
    prompts: string[];
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
        .option("--max-tokens <n>", "of an answer (default: 256)", whole(1, 1 << 20))
        .option("--sequences <n>", "answers computed side by side (default: 64)", whole(1, 256))
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
