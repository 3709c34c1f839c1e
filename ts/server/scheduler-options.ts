import { z } from "zod";
import type { SteerError } from "../index.js";
import { count } from "./options.js";
import type { ServeRequest, ServeResult } from "./serve-request.js";

export interface SchedulerOptions {
    /** Answers at once. Default: all sequences of the context. Sequences beyond that keep prefixes. */
    concurrency?: number;
    /** Requests that may wait. Default 256. */
    queueLimit?: number;
    /** `"fair"` (default): clients take turns. `"priority"`: the highest first, clients take turns among equals. */
    policy?: "fair" | "priority";
    /** Tokens, of prompts and of answers at their longest, that may be under way at once. Default: what the memory holds. */
    tokenBudget?: number;
    /** Tokens of an answer whose request says no number. Default 256, or what is left of the context. */
    defaultMaxTokens?: number;
    /** Whether finished sequences are kept for prompts that begin alike. Default true, where the memory is unified. */
    prefixCache?: boolean;
    /** Called when a request has ended, however it ended. */
    onEnd?: (request: ServeRequest, outcome: ServeResult | SteerError) => void;
}

export const schedulerOptionsSchema = z.strictObject({
    concurrency: count.optional(),
    queueLimit: z.int().min(0).default(256),
    policy: z.enum(["fair", "priority"]).default("fair"),
    tokenBudget: count.default(Number.MAX_SAFE_INTEGER),
    defaultMaxTokens: count.default(256),
    prefixCache: z.boolean().default(true),
    onEnd: z.custom<SchedulerOptions["onEnd"]>((value) => typeof value === "function", "must be a function").optional(),
});

/** What a scheduler itself looks at; what is for the generation is checked there. */
export const serveRequestSchema = z.looseObject({
    maxTokens: count.optional(),
    client: z.string().optional(),
    priority: z.number().optional(),
    steering: z
        .object({ key: z.string(), apply: z.custom((value) => typeof value === "function", "must be a function") })
        .optional(),
    signal: z.instanceof(AbortSignal).optional(),
});
