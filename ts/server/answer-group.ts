import type { GeneratedToken } from "../index.js";
import type { FinishedAnswer } from "./completion-objects.js";
import type { ScheduledAnswer } from "./scheduled-answer.js";
import type { ServeResult } from "./serve-request.js";

/** What comes of one of several answers: tokens, or its end. */
export type AnswerNews = { index: number } & (
    | { tokens: readonly GeneratedToken[]; result?: undefined }
    | { tokens?: undefined; result: ServeResult }
);

/** The answers to one request. If one fails, or nobody reads on, all of them end. */
export class AnswerGroup {
    readonly #answers: readonly ScheduledAnswer[];

    constructor(answers: readonly ScheduledAnswer[]) {
        this.#answers = answers;
    }

    /** All answers, once all are finished. */
    async results(): Promise<FinishedAnswer[]> {
        try {
            const finished = this.#answers.map(async (each) => {
                const result = await each.result();
                return { ...result, stream: each.tokens };
            });
            return await Promise.all(finished);
        } catch (error) {
            await this.abort();
            throw error;
        }
    }

    /** What comes, in the order in which it comes. */
    async *news(): AsyncGenerator<AnswerNews, void, undefined> {
        const iterators = this.#answers.map((each) => each[Symbol.asyncIterator]());
        const next = (index: number) => {
            const step = (async () => ({ index, step: await iterators[index]?.next() }))();
            // While a reader takes its time nobody listens, and an answer that fails then must not end the process.
            step.catch(() => {});
            return step;
        };
        const waiting = new Map(this.#answers.map((_, index) => [index, next(index)]));
        try {
            while (waiting.size > 0) {
                const { index, step } = await Promise.race(waiting.values());
                if (step?.done === false) {
                    waiting.set(index, next(index));
                    yield { index, tokens: step.value };
                } else {
                    waiting.delete(index);
                    yield { index, result: await (this.#answers[index] as ScheduledAnswer).result() };
                }
            }
        } finally {
            await this.abort();
        }
    }

    /** When all have ended, however they ended. */
    async ended(): Promise<void> {
        await Promise.allSettled(this.#answers.map((each) => each.result()));
    }

    async abort(): Promise<void> {
        await Promise.all(this.#answers.map((each) => each.abort()));
    }
}
