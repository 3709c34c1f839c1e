import { z } from "zod";
import { Model, type SteeringVector } from "../index.js";
import { answererSchema } from "./answers.js";
import { searchSpace } from "./candidate-space.js";
import { constraints } from "./constraints.js";
import type { RefusalEvent } from "./events.js";
import type { Judge } from "./judge.js";
import type { Prompt } from "./prompt.js";
import { RunDirectory } from "./run-directory.js";
import { searchStrategies } from "./search-strategies.js";

const isFunction = (value: unknown): boolean => typeof value === "function";

/** What answering needs, whatever it is for. */
const common = {
    model: z.custom<Model>((value) => value instanceof Model, "must be a Model"),
    /** The model's file: its fingerprint goes into the keys of answers and into the vector. */
    modelPath: z.string().min(1),
    judge: z.custom<Judge>((value) => typeof (value as Judge | undefined)?.judge === "function", "must be a Judge"),
    /** Gives the unsteered answers, such as an {@link EndpointAnswerer}. Default: the model itself. */
    answerer: answererSchema.optional(),
    prompts: z
        .array(z.custom<Prompt>((value) => typeof value === "object" && value !== null))
        .min(1, "there are no prompts")
        .superRefine((prompts, context) => {
            // Rows and scores are found by id.
            const ids = new Set<string>();
            for (const { id } of prompts) {
                if (ids.has(id)) {
                    context.addIssue(`the id ${JSON.stringify(id)} is there twice`);
                    return;
                }
                ids.add(id);
            }
        }),
    /** Keeps finished items, and finds those of an earlier run. */
    run: z.custom<RunDirectory>((value) => value instanceof RunDirectory, "must be a RunDirectory").optional(),
    /** A system message before each prompt. */
    system: z.string().min(1).optional(),
    /** Tokens of an answer with its reasoning. */
    maxTokens: z.int().min(1).default(256),
    /** Answers at a time. */
    sequences: z.int().min(1).max(256).default(64),
    /** Tokens that a prompt and its answer may have. Default: what the longest prompt needs, as far as the model goes. */
    contextSize: z.int().min(2).optional(),
    /** Of a forward pass. Default: all cores; one for models below 50 million parameters, which gain nothing from more. */
    threads: z.int().min(1).optional(),
    signal: z.instanceof(AbortSignal).optional(),
    onEvent: z.custom<(event: RefusalEvent) => void>(isFunction).optional(),
};

const fitSpec = z.strictObject({
    method: z.enum(["md", "rmd", "wrmd", "pca", "lda", "logistic"]),
    lambda: z.union([z.number().positive(), z.enum(["oas", "ledoit-wolf", "loo"])]).optional(),
    preserveMode: z.enum(["none", "covariance-within", "covariance-pooled", "project-out", "both"]).optional(),
});

/** Directions that are tried where none are asked for: the paper's, with two ways to preserve, and the plain difference. */
const defaultFits = [
    { method: "wrmd", lambda: 1 },
    { method: "wrmd", lambda: 1, preserveMode: "both" },
    { method: "wrmd", lambda: 0.3 },
    { method: "md", preserveMode: "project-out" },
] satisfies z.input<typeof fitSpec>[];

export const fitOptions = z.strictObject({
    ...common,
    /** `"reduce"`: refusals of target prompts are to go; `"induce"`: to come. */
    goal: z.enum(["reduce", "induce"]).default("reduce"),
    /** Answers sampled of each prompt, for its score. */
    samples: z.int().min(1).max(1000).default(5),
    /** Of sampling. */
    temperature: z.number().min(0).default(1),
    /** Of sampling, of the order of prompts and of candidates. */
    seed: z.int().min(0).default(0),
    /** Scores beyond it are refusals or, negative, compliance. */
    threshold: z.number().min(0).max(1).default(0.1),
    /** Directions to choose from. The first one decides which layers are worth trying. */
    fits: z.array(fitSpec).min(1).max(16).default(defaultFits),
    search: z.enum(searchStrategies).default("efficient"),
    space: searchSpace.prefault({}),
    constraints: constraints.prefault({}),
    /** Candidates that an efficient search begins with, and how often it tries the neighbours of the best. */
    candidates: z.int().min(4).max(4096).default(64),
    rounds: z.int().min(0).max(64).default(3),
    /** Strengths that a grid search tries of each combination. */
    strengths: z.int().min(1).max(64).default(5),
});
export type FitRefusalOptions = z.input<typeof fitOptions>;
export type FitSettings = z.output<typeof fitOptions>;

export const evaluateOptions = z.strictObject({
    ...common,
    vector: z.custom<SteeringVector>((value) => value !== undefined),
    /** Times what the vector's file says. */
    strength: z.number().default(1),
    split: z.enum(["fit", "select", "eval"]).default("eval"),
});
export type EvaluateRefusalOptions = z.input<typeof evaluateOptions>;
export type EvaluateSettings = z.output<typeof evaluateOptions>;
