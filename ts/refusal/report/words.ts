import type { PromptSet } from "../prompt.js";
import type { ReportCandidate } from "../run-report.js";
import { short } from "./numbers.js";

export const setNames: Record<PromptSet, string> = { target: "Target", preserve: "Preserve", neutral: "Neutral" };

const scopes: Record<string, string> = {
    all: "every token",
    prompt: "all tokens of the prompt",
    "last-prompt": "the last prompt token",
    generated: "generated tokens",
    "last-prompt-and-generated": "the last prompt token and generated tokens",
    decaying: "the last prompt token and generated tokens, less and less",
    outputs: "tokens whose logits are computed",
};

/** What has no words here stands as it is. Names are others' text: one may be that of a property of every object. */
function wordsFor(table: Record<string, string>, name: string): string | undefined {
    return Object.hasOwn(table, name) ? table[name] : undefined;
}

/** Where a candidate acts. */
export function tokensInWords(tokens: string): string {
    return wordsFor(scopes, tokens) ?? tokens;
}

const preserving: Record<string, string> = {
    none: "not in the fit",
    "covariance-within": "its spread counts in Σ",
    "covariance-pooled": "its spread and its distance count in Σ",
    "project-out": "its mean shift projected out",
    both: "counts in Σ, and its mean shift projected out",
};

export function preserveInWords(mode: string): string {
    return wordsFor(preserving, mode) ?? mode;
}

/** Abbreviations stand in capitals. */
export function methodName(method: string): string {
    return /^(md|rmd|wrmd|wmd|pca|lda)$/.test(method) ? method.toUpperCase() : method;
}

export function lambdaInWords(lambda: number | string | null): string {
    if (lambda === null) {
        return "no λ";
    }
    return typeof lambda === "number" ? `λ\u00a0=\u00a0${short(lambda)}` : `λ by ${lambda}`;
}

/** "4", "2–6" or "1, 3, 5–7". */
export function layersInWords(layers: readonly number[]): string {
    const sorted = [...new Set(layers)].sort((a, b) => a - b);
    const runs: [number, number][] = [];
    for (const layer of sorted) {
        const last = runs.at(-1);
        if (last !== undefined && last[1] === layer - 1) {
            last[1] = layer;
        } else {
            runs.push([layer, layer]);
        }
    }
    return runs.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(", ");
}

const operations: Record<string, string> = {
    add: "added",
    ablate: "ablated",
    clamp: "clamped",
    set: "set",
    affine: "applied as an affine map",
    rotate: "rotated",
    track: "tracked",
};

export function operationInWords(operation: string): string {
    return wordsFor(operations, operation) ?? `used to ${operation}`;
}

/** One line that tells a candidate from all others. */
export function candidateInWords(candidate: ReportCandidate): string {
    const { method, lambda, preserveMode, operation, layers, strength, tokens, condition } = candidate;
    const parts = [
        `layer ${layersInWords(layers)}`,
        `strength ${short(strength)}`,
        tokensInWords(tokens),
        ...(condition === null ? [] : [`if ${condition}`]),
        `${methodName(method)}, ${lambdaInWords(lambda)}, preserve: ${preserveMode}, ${operation}`,
    ];
    return parts.join(" · ");
}
