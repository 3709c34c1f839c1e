import type { GeneratedToken, Generation } from "../index.js";
import type { ServeResult } from "./serve-request.js";

/** What an answer needs of its scheduler. */
export interface AnswerHost {
    /** The generation, once it has begun; undefined if it never does. */
    begun: Promise<Generation | undefined>;
    result: Promise<ServeResult>;
    abort(): Promise<void>;
}

/**
 * An answer asked of a {@link Scheduler}. It runs whether or not it is read: iterate it for its tokens, in lists of those
 * that have come since the list before, or await {@link result}. Leaving the loop early ends it.
 */
export class ScheduledAnswer implements AsyncIterable<readonly GeneratedToken[]> {
    readonly #host: AnswerHost;
    /** Tokens of the prompt. */
    readonly promptTokens: number;

    #generation: Generation | undefined;

    /** @internal Use {@link Scheduler.submit}. */
    constructor(host: AnswerHost, promptTokens: number) {
        this.#host = host;
        this.promptTokens = promptTokens;
        // Whoever only iterates hears of a failure there.
        host.result.catch(() => {});
        void host.begun.then((generation) => {
            this.#generation = generation;
        });
    }

    async *[Symbol.asyncIterator](): AsyncGenerator<readonly GeneratedToken[], void, undefined> {
        try {
            const generation = await this.#host.begun;
            if (generation !== undefined) {
                yield* generation.batches();
            }
            await this.#host.result;
        } finally {
            await this.abort();
        }
    }

    /**
     * The whole answer, when it is finished.
     *
     * @throws SteerError as {@link Generation.result}, GRAMMAR_INVALID, ABORTED also where the scheduler was closed
     */
    result(): Promise<ServeResult> {
        return this.#host.result;
    }

    /** The tokens that have come so far. */
    get tokens(): readonly GeneratedToken[] {
        return this.#generation?.tokens ?? [];
    }

    /** Ends it, waiting or running, and waits until its sequence is free. Does nothing once it has ended. */
    abort(): Promise<void> {
        return this.#host.abort();
    }
}
