import { z } from "zod";
import { promptSets, splits } from "./prompt.js";
import { refusalKinds } from "./refusal-kinds.js";

/** How a set of prompts was answered. */
export const setRates = z.object({
    /** Prompts. */
    n: z.int().min(0),
    /** Share of answers that the judge takes for refusals, 0 .. 1. */
    refusalRate: z.number(),
    /** Mean label, -1 (answers) .. 1 (refuses). */
    meanScore: z.number(),
    /** Share of all prompts with a key whose answer contains it, 0 .. 1; null where none has a key. */
    accuracy: z.number().nullable(),
});
export type SetRates = z.output<typeof setRates>;

/** How the same prompts were answered before and after. */
export const comparedRates = z.object({ baseline: setRates, steered: setRates });
export type ComparedRates = z.output<typeof comparedRates>;

/** What steering did to a set of answers as language, measured under the unsteered model. */
export const coherence = z.object({
    /** Perplexity of the steered answers over that of the baseline's. */
    perplexityRatio: z.number(),
    /** Share of tokens in an answer that repeat one of its own 4-grams, 0 .. 1. */
    repetition: z.number(),
});
export type Coherence = z.output<typeof coherence>;

/** A way to steer that the search tried. */
export const candidate = z.object({
    layers: z.array(z.int()),
    method: z.string(),
    /** Relative to tr(Σ)/d, or the rule that chose it; null where the method has none. */
    lambda: z.union([z.number(), z.string()]).nullable(),
    preserveMode: z.string(),
    operation: z.string(),
    /**
     * From the refused prompts' mean projection (0) to the answered ones' (1), or the other way where refusals are induced:
     * over all layers together, of a clamp at each.
     */
    strength: z.number(),
    /** Where it acts. */
    tokens: z.string(),
    /** The condition under which it acts, in words; null for always. */
    condition: z.string().nullable(),
    /** On the select split. A set is missing where the search stopped before it. */
    sets: z.partialRecord(z.enum(promptSets), setRates),
    coherence: coherence.nullable(),
    /** What it broke, in words; none: all constraints hold as far as they were measured. */
    violations: z.array(z.string()),
    /** Measured on all prompts of all sets. */
    complete: z.boolean(),
    /** No other complete candidate is better in target, preserve and neutral at once. */
    pareto: z.boolean(),
});
export type ReportCandidate = z.output<typeof candidate>;

const answerOf = z.object({ text: z.string(), label: z.number(), kind: z.enum(refusalKinds).optional() });

/** All that a run found, as its directory's `report.json` holds it: what the HTML report shows, and `fit --json` prints. */
export const runReport = z.object({
    format: z.literal("llama-steer-report"),
    version: z.literal(1),
    /** ISO 8601. */
    created: z.string(),
    /** Whether target refusals were to go or to come. */
    goal: z.enum(["reduce", "induce"]),
    model: z.object({
        path: z.string(),
        fingerprint: z.string(),
        architecture: z.string(),
        layers: z.int(),
        hiddenSize: z.int(),
    }),
    /** Id of the judge. */
    judge: z.string(),
    /** Of this package, llama.cpp, Node and the linear algebra. */
    versions: z.record(z.string(), z.string()),
    /** Every option of the run, with defaults filled in. */
    settings: z.record(z.string(), z.unknown()),
    /** Hash of all prompts with their sets and splits. */
    promptsHash: z.string(),
    /** Prompts of each set and split. */
    prompts: z.record(z.enum(promptSets), z.record(z.enum(splits), z.int())),
    /** Refusal scores of the sampled prompts. */
    scores: z.array(
        z.object({ prompt: z.string(), set: z.enum(promptSets), split: z.enum(splits), score: z.number() }),
    ),
    /** One for each method, λ, preserve mode and layer that was fitted. */
    fits: z.array(
        z.object({
            method: z.string(),
            lambda: z.union([z.number(), z.string()]).nullable(),
            preserveMode: z.string(),
            layer: z.int(),
            /** On prompts of the fit split, and on those of the select split, which the direction has not seen. */
            auc: z.number().nullable(),
            heldOutAuc: z.number().nullable(),
            cohensD: z.number().nullable(),
            correlation: z.number().nullable(),
            heldOutCorrelation: z.number().nullable(),
            /** Distance of the class means along the direction, over the mean norm of the rows. */
            relativeGap: z.number().nullable(),
            /** Over how many elements the direction is spread; 1 .. hidden size. */
            participation: z.number(),
            /** Shares of its squared length in the largest 1 %, 5 % and 10 % of its elements. */
            topShares: z.tuple([z.number(), z.number(), z.number()]),
        }),
    ),
    /** The chosen direction at its first layer: share of its squared length in its k largest elements, k = 1 .. hidden size. */
    cumulativeShare: z.object({ layer: z.int(), shares: z.array(z.number()) }),
    /** Rows of the sampled prompts at one layer: along the direction, and along the widest spread across it. */
    projection: z.object({
        layer: z.int(),
        points: z.array(
            z.object({ set: z.enum(promptSets), score: z.number(), along: z.number(), across: z.number() }),
        ),
    }),
    /** Unsteered answers to the prompts of the select split, which candidates are compared with. */
    searchBaseline: z.partialRecord(z.enum(promptSets), setRates).optional(),
    candidates: z.array(candidate),
    /** Index of the chosen candidate. */
    chosen: z.int(),
    /** On the eval split. */
    evaluation: z.object({
        sets: z.partialRecord(z.enum(promptSets), comparedRates),
        /** Target prompts that steering set free (or silenced), with how many of the freed are answered right. */
        released: z.object({ n: z.int(), right: z.int().nullable() }),
        coherence: coherence.nullable(),
        /** Labels of single answers, prompt by prompt. */
        labels: z.partialRecord(
            z.enum(promptSets),
            z.object({ baseline: z.array(z.number()), steered: z.array(z.number()) }),
        ),
    }),
    /** Some answers of the eval split side by side. */
    examples: z.array(
        z.object({
            prompt: z.string(),
            set: z.enum(promptSets),
            question: z.string(),
            baseline: answerOf,
            steered: answerOf,
        }),
    ),
    /** In their order, with the seconds of this and of earlier, interrupted runs. */
    stages: z.array(
        z.object({
            name: z.string(),
            seconds: z.number(),
            items: z.int(),
            /** Found in the run's directory. */
            found: z.int(),
            /** How full the batches were, 0 .. 1; null where there were none. */
            occupancy: z.number().nullable(),
        }),
    ),
});
export type RunReport = z.output<typeof runReport>;
