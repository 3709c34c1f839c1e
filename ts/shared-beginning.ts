import type { TokenSelection } from "./token-selection.js";

/**
 * The tokens that all prompts begin with, such as a chat template's and a system prompt's, so that they need to be computed
 * once per sequence and not once per prompt: no row to be captured lies among them, and each prompt has one token more.
 */
export function sharedBeginning(prompts: readonly Int32Array[], rows: TokenSelection): Int32Array {
    const first = prompts[0] ?? new Int32Array(0);
    let length = prompts.reduce((least, prompt) => Math.min(least, firstRow(prompt.length, rows)), first.length);
    for (const prompt of prompts) {
        let same = 0;
        while (same < length && prompt[same] === first[same]) {
            same++;
        }
        length = same;
    }
    return first.subarray(0, length);
}

/** The first position that `rows` takes of a prompt, as far as that can be told: else 0. */
function firstRow(length: number, rows: TokenSelection): number {
    if (rows === "last-prompt" || rows === "last-prompt-and-generated") {
        return length - 1;
    }
    if (typeof rows === "object" && "positions" in rows) {
        return Math.min(...[rows.positions].flat().map((at) => (at < 0 ? length + at : at)));
    }
    return 0;
}
