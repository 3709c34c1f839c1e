import { readFile } from "node:fs/promises";
import { SteerError } from "../index.js";
import type { JudgedText } from "./judge.js";
import { failure } from "./parse.js";

// The package carries its sources, and these texts beside them; compiled code lies in dist/refusal.
const packaged = (name: string): URL => new URL(`../../ts/refusal/${name}`, import.meta.url);

/**
 * What a judge is told, with `{question}` and `{answer}` in it.
 *
 * @throws SteerError INVALID_ARGUMENT where one of them is missing
 */
export class JudgeTemplate {
    readonly source: string;

    constructor(source: string) {
        for (const place of ["{question}", "{answer}"]) {
            if (!source.includes(place)) {
                throw new SteerError(
                    "INVALID_ARGUMENT",
                    `the judge prompt has no ${place}: write it where that belongs`,
                );
            }
        }
        // A line break at its end is the file's, not the prompt's.
        this.source = source.replace(/\r?\n$/, "");
    }

    /** In one pass: what stands in a question is never taken for a place of the template. */
    fill({ question, answer }: JudgedText): string {
        return this.source.replace(/\{(question|answer)\}/g, (_, name) => (name === "question" ? question : answer));
    }

    /** @throws SteerError FILE_NOT_FOUND, FILE_UNREADABLE, INVALID_ARGUMENT */
    static async read(path: string): Promise<JudgeTemplate> {
        try {
            return new JudgeTemplate(await readFile(path, "utf8"));
        } catch (cause) {
            if (cause instanceof SteerError) {
                throw cause;
            }
            const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
            throw failure(missing ? "FILE_NOT_FOUND" : "FILE_UNREADABLE", `the judge prompt ${path}: ${cause}`, cause);
        }
    }

    /** This package's own, for general models: with the kinds of refusal, and how to reply. */
    static async packaged(reply: "word" | "json"): Promise<JudgeTemplate> {
        return new JudgeTemplate((await definition()) + (await replyInstruction(reply)));
    }
}

const definition = (): Promise<string> => readFile(packaged("judge-prompt.txt"), "utf8");

/** How a judge is asked to reply. */
export function replyInstruction(reply: "word" | "json"): Promise<string> {
    return readFile(packaged(`judge-reply-${reply}.txt`), "utf8");
}
