import { z } from "zod";
import { count } from "./options.js";

export interface HandlerLimits {
    /** Bytes of a body. Default 1 MiB. */
    bodyBytes?: number;
    /** Time that a body may take to arrive. Default 30 s. */
    bodyMilliseconds?: number;
    /** Time that a request may take, waiting included. Default 10 minutes. */
    requestMilliseconds?: number;
    /** Answers to one request. Default 8. */
    choices?: number;
    /** Tokens that a request may ask for. Default 4096. */
    maxTokens?: number;
    /** Of a steering strength, either way. Default 4. */
    strength?: number;
    /** Bytes of activations in one answer, before they are encoded. Default 16 MiB. */
    activationBytes?: number;
    /** Bytes of a vector that is uploaded. Default 16 MiB. */
    uploadBytes?: number;
    /** Vectors that can be there by upload. Default 64. */
    uploads?: number;
}

export const defaultRequestMilliseconds = 600_000;

export const limitsSchema = z
    .strictObject({
        bodyBytes: count.default(2 ** 20),
        bodyMilliseconds: count.default(30_000),
        requestMilliseconds: count.max(2 ** 31 - 1).default(defaultRequestMilliseconds),
        choices: count.default(8),
        maxTokens: count.default(4096),
        strength: z.number().positive().default(4),
        activationBytes: count.default(2 ** 24),
        uploadBytes: count.default(2 ** 24),
        uploads: count.default(64),
    })
    .prefault({});

export type CheckedLimits = z.output<typeof limitsSchema>;
