import { type Generation, type Sequence, SteerError } from "../index.js";
import type { Holder } from "./prefix-cache.js";
import type { Queued } from "./request-queue.js";
import type { ServeRequest, ServeResult } from "./serve-request.js";

/** A request on its way: waiting, then with a sequence and a generation. */
export class Job implements Queued {
    readonly request: ServeRequest;
    /** Of the prompt. */
    readonly tokens: Int32Array;
    readonly maxTokens: number;
    readonly client: string;
    readonly priority: number;
    /** Of the steering; of all that are not steered the same. */
    readonly key: string;
    readonly result: Promise<ServeResult>;
    /** The generation once there is one, undefined if the job ends without. */
    readonly begun: Promise<Generation | undefined>;
    sequence: Sequence | undefined;
    generation: Generation | undefined;
    /** Its first token has come: the whole prompt is in memory. */
    answering = false;
    /** Tokens that it seems to share. Until its first token, those that it was promised count them too. */
    likelyShared = 0;
    /** Tokens that it could share when that was tried. */
    triedShared = Number.POSITIVE_INFINITY;

    readonly #asked = performance.now();
    #began: number | undefined;
    #first: number | undefined;
    #settleBegun: (generation: Generation | undefined) => void = () => {};
    #resolve: (result: ServeResult) => void = () => {};
    #reject: (error: unknown) => void = () => {};

    constructor(request: ServeRequest, tokens: Int32Array, maxTokens: number) {
        this.request = request;
        this.tokens = tokens;
        this.maxTokens = maxTokens;
        this.client = request.client ?? "";
        this.priority = request.priority ?? 0;
        this.key = request.steering === undefined ? "" : `steered:${request.steering.key}`;
        this.begun = new Promise((resolve) => {
            this.#settleBegun = resolve;
        });
        this.result = new Promise((resolve, reject) => {
            this.#resolve = resolve;
            this.#reject = reject;
        });
    }

    /** Tokens of memory that it may come to. */
    get need(): number {
        return this.tokens.length + this.maxTokens;
    }

    /** What its sequence holds for others, once its prompt is computed. */
    get holder(): Holder | undefined {
        return this.answering && this.sequence !== undefined
            ? { sequence: this.sequence, key: this.key, tokens: this.tokens }
            : undefined;
    }

    begin(sequence: Sequence, generation: Generation): void {
        this.sequence = sequence;
        this.generation = generation;
        this.#began = performance.now();
        this.#settleBegun(generation);
    }

    firstToken(): void {
        this.answering = true;
        this.#first = performance.now();
    }

    succeed(result: Omit<ServeResult, keyof Times>): ServeResult {
        const served = { ...result, ...this.times() };
        this.#settleBegun(undefined);
        this.#resolve(served);
        return served;
    }

    fail(error: unknown): void {
        this.#settleBegun(undefined);
        this.#reject(error);
    }

    times(): Times {
        const now = performance.now();
        return {
            promptTokens: this.tokens.length,
            queuedMilliseconds: (this.#began ?? now) - this.#asked,
            firstTokenMilliseconds: (this.#first ?? now) - this.#asked,
            totalMilliseconds: now - this.#asked,
        };
    }
}

type Times = Pick<ServeResult, "promptTokens" | "queuedMilliseconds" | "firstTokenMilliseconds" | "totalMilliseconds">;

/** The error of a request that ended before it began. */
export function abortedWaiting(message: string, cause?: unknown): SteerError {
    return new SteerError("ABORTED", message, cause === undefined ? {} : { cause });
}
