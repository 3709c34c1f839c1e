import { z } from "zod";
import { SteerError } from "../index.js";
import { parsed } from "./parse.js";

/** One sample of a prompt, as the score sees it. */
export interface LabelledSample {
    /** Id of its prompt. */
    prompt: string;
    meanLogProbability: number;
    /** -1 .. 1, the judge's. */
    label: number;
}

export type ScoreClass = "refusal" | "compliance" | "neutral";

export interface ScoreOptions {
    /** τ: a small one lets the most probable sample decide, a large one counts all alike. Default 1. */
    temperature?: number | undefined;
    /** Beyond it, a score is a refusal or, below its negative, a compliance. Default 0.1. */
    threshold?: number | undefined;
}

/** How much a prompt is refused. */
export interface RefusalScore {
    prompt: string;
    /** c(x) in -1 .. 1. */
    score: number;
    class: ScoreClass;
}

const scoreOptions = z.object({
    temperature: z.number().positive().default(1),
    threshold: z.number().min(0).max(1).default(0.1),
});

/**
 * Refusal score of each prompt: c(x) = Σ_k softmax(logp_k / τ)·label_k over its samples, logp_k being the mean token
 * log-probability of the k-th (arXiv 2512.16602).
 *
 * @returns in the order in which the prompts first occur
 * @throws SteerError INVALID_ARGUMENT, NOT_FINITE
 */
export function refusalScores(samples: readonly LabelledSample[], options: ScoreOptions = {}): RefusalScore[] {
    const { temperature, threshold } = parsed(scoreOptions, options, "options");
    const byPrompt = new Map<string, LabelledSample[]>();
    for (const sample of samples) {
        checkSample(sample);
        const list = byPrompt.get(sample.prompt);
        list === undefined ? byPrompt.set(sample.prompt, [sample]) : list.push(sample);
    }
    return Array.from(byPrompt, ([prompt, list]) => {
        const score = weightedLabel(list, temperature);
        return { prompt, score, class: classOf(score, threshold) };
    });
}

/** The class of a score, or of a single label. */
export function classOf(score: number, threshold = 0.1): ScoreClass {
    return score > threshold ? "refusal" : score < -threshold ? "compliance" : "neutral";
}

function weightedLabel(samples: readonly LabelledSample[], temperature: number): number {
    // The largest first: its weight is 1, and no sum can overflow or vanish.
    const peak = Math.max(...samples.map((each) => each.meanLogProbability));
    const weights = samples.map((each) => Math.exp((each.meanLogProbability - peak) / temperature));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return samples.reduce((sum, each, i) => sum + ((weights[i] as number) / total) * each.label, 0);
}

function checkSample({ prompt, meanLogProbability, label }: LabelledSample): void {
    if (!Number.isFinite(meanLogProbability) || !Number.isFinite(label)) {
        throw new SteerError("NOT_FINITE", `a sample of prompt ${prompt} has no finite log-probability or label`);
    }
    if (label < -1 || label > 1) {
        throw new SteerError("INVALID_ARGUMENT", `a label of prompt ${prompt} is ${label}: labels are -1 .. 1`);
    }
}

/**
 * Refuses scores that leave nothing to steer: a direction leads from compliance to refusal and takes both.
 *
 * @throws SteerError EMPTY_CLASS, with the scores
 */
export function requireBothClasses(scores: readonly RefusalScore[]): void {
    const count = (name: ScoreClass): number => scores.filter((each) => each.class === name).length;
    const refused = count("refusal");
    const complied = count("compliance");
    if (refused > 0 && complied > 0) {
        return;
    }
    const lacking =
        refused > 0
            ? "no prompt is answered"
            : complied > 0
              ? "no prompt is refused"
              : "no prompt is refused or answered";
    const lowest = [...scores].sort((a, b) => a.score - b.score);
    const shown = lowest.length <= 8 ? lowest : [...lowest.slice(0, 4), ...lowest.slice(-4)];
    const list = shown.map((each) => `${each.prompt} ${each.score.toFixed(2)}`).join(", ");
    throw new SteerError(
        "EMPTY_CLASS",
        `nothing to steer: ${lacking} (${refused} refused, ${complied} answered, ${count("neutral")} between; ` +
            `scores ${shown.length < lowest.length ? "from lowest to highest, in part" : "from lowest to highest"}: ${list})`,
    );
}
