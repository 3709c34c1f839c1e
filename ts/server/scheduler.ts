import { setTimeout as delay } from "node:timers/promises";
import type { z } from "zod";
import { Context, type GenerationResult, type Sequence, SteerError } from "../index.js";
import { Admission } from "./admission.js";
import { abortedWaiting, Job } from "./job.js";
import { checkedOptions } from "./options.js";
import { PrefixCache } from "./prefix-cache.js";
import { RequestQueue } from "./request-queue.js";
import { ScheduledAnswer } from "./scheduled-answer.js";
import { type SchedulerOptions, schedulerOptionsSchema, serveRequestSchema } from "./scheduler-options.js";
import { SchedulerCounts, type SchedulerStatistics, steeringInUse } from "./scheduler-statistics.js";
import type { ServeRequest, ServeResult, UnfinishedRequest } from "./serve-request.js";

/**
 * Serves requests on one context: answers join its running batch and leave it one by one, each with its own steering.
 *
 * A request begins when it is its turn, a sequence is free, and its prompt and its longest answer fit into the memory
 * beside all that is under way; so none ever fails for want of memory. Finished sequences stay in memory until their room
 * is needed, and a prompt that begins like one of them, under the same steering, takes that beginning over. The context
 * is the scheduler's alone, but for short evaluations; it is not disposed with it.
 */
export class Scheduler {
    readonly context: Context;
    readonly #options: z.output<typeof schedulerOptionsSchema>;
    readonly #concurrency: number;
    readonly #queue: RequestQueue<Job>;
    readonly #running = new Set<Job>();
    readonly #cache = new PrefixCache(() => this.#pump());
    readonly #counts = new SchedulerCounts();
    readonly #admission: Admission;
    #probing = false;
    #closed: Promise<UnfinishedRequest[]> | undefined;

    /** @throws SteerError INVALID_ARGUMENT, DISPOSED */
    constructor(context: Context, options: SchedulerOptions = {}) {
        if (!(context instanceof Context)) {
            throw new SteerError("INVALID_ARGUMENT", "a scheduler needs a Context");
        }
        this.context = context;
        this.#options = checkedOptions(schedulerOptionsSchema, options, "options");
        const { sequences } = context.options;
        this.#concurrency = Math.min(this.#options.concurrency ?? sequences, sequences);
        this.#queue = new RequestQueue(this.#options.policy);
        this.#admission = new Admission(context, this.#running, this.#cache, this.#options);
    }

    /**
     * Asks for an answer.
     *
     * @throws SteerError QUEUE_FULL, PROMPT_EMPTY, PROMPT_TOO_LONG (also where `maxTokens` does not fit behind the prompt),
     *   CHAT_TEMPLATE_MISSING, CHAT_TEMPLATE_FAILED, INVALID_ARGUMENT, DISPOSED (the scheduler is closed)
     */
    submit(request: ServeRequest): ScheduledAnswer {
        if (this.#closed !== undefined || this.context.disposed) {
            throw new SteerError("DISPOSED", "the scheduler is closed and takes no more requests");
        }
        checkedOptions(serveRequestSchema, request, "request");
        const { prompt } = request;
        const tokens = prompt instanceof Int32Array ? prompt.slice() : this.context.model.encodePrompt(prompt);
        const job = new Job(request, tokens, this.#answerLength(tokens.length, request.maxTokens));
        const answer = new ScheduledAnswer(
            { begun: job.begun, result: job.result, abort: () => this.#abort(job) },
            tokens.length,
        );
        if (request.signal?.aborted) {
            this.#counts.submitted++;
            this.#end(job, abortedWaiting("the request was aborted before it was made", request.signal.reason));
            return answer;
        }
        this.#queue.add(job);
        this.#pump();
        if (this.#queue.size > this.#options.queueLimit && this.#queue.remove(job)) {
            this.#counts.refused++;
            throw new SteerError("QUEUE_FULL", `${this.#options.queueLimit} requests wait already: try again later`);
        }
        this.#counts.submitted++;
        this.#heed(job);
        return answer;
    }

    /** Tokens that the answer may have; a default gives way to a long prompt, a number that was asked for does not. */
    #answerLength(promptTokens: number, asked: number | undefined): number {
        const { contextSize, memoryTokens } = this.context.options;
        const most = Math.min(contextSize, memoryTokens, this.#options.tokenBudget);
        const wanted = asked ?? Math.max(1, Math.min(this.#options.defaultMaxTokens, most - promptTokens));
        if (promptTokens === 0) {
            throw new SteerError("PROMPT_EMPTY", "the prompt has no tokens: give at least one");
        }
        if (promptTokens + wanted > most) {
            throw new SteerError(
                "PROMPT_TOO_LONG",
                `the prompt has ${promptTokens} tokens and its answer may have ${wanted}, of ${most} that a request ` +
                    "can have here: shorten the prompt or lower maxTokens",
            );
        }
        return wanted;
    }

    /** Takes a job out of the queue when its signal says so; what runs heeds the signal itself. */
    #heed(job: Job): void {
        const { signal } = job.request;
        const onAbort = (): void => {
            if (this.#queue.remove(job)) {
                this.#end(job, abortedWaiting("the request was aborted while it waited", signal?.reason));
            }
        };
        signal?.addEventListener("abort", onAbort, { once: true });
        void job.begun.then(() => signal?.removeEventListener("abort", onAbort));
    }

    /** Begins all that can begin. */
    #pump(): void {
        while (!this.#probing && !this.context.disposed && this.#running.size < this.#concurrency) {
            const job = this.#queue.next((each) => !this.#admission.awaitsPrefix(each));
            if (job === undefined || !this.#advance(job)) {
                break;
            }
        }
        if (this.context.disposed) {
            for (const job of this.#queue) {
                this.#queue.remove(job);
                this.#end(job, new SteerError("DISPOSED", "the context was disposed"));
            }
        }
    }

    /** Begins the next job, or does what has to be done first. Returns whether the one behind it is to be looked at. */
    #advance(job: Job): boolean {
        const verdict = this.#admission.check(job);
        if (verdict === "begin") {
            this.#begin(job);
        } else if (verdict === "probe") {
            void this.#probe(job);
        } else if (verdict === "never") {
            this.#queue.remove(job);
            this.#end(job, new SteerError("CONTEXT_FULL", "others than the scheduler hold the context's memory"));
        }
        return verdict === "begin" || verdict === "never";
    }

    /** A job that fits only with what it can share: tries how much that is, and begins it if it is enough. */
    async #probe(job: Job): Promise<void> {
        this.#probing = true;
        const sequence = this.context.sequence();
        let fits = false;
        try {
            job.request.steering?.apply(sequence);
            job.triedShared = await sequence.sharePrefix(job.tokens);
            fits = this.#admission.missingTokens(job.need - job.triedShared) <= 0;
            // The answer takes it again, as part of its whole prompt, which its sampler has to see.
            await sequence.clear();
        } catch {
            // What is wrong with it, its beginning will say.
            job.triedShared = 0;
        }
        this.#probing = false;
        if (fits && this.#queue.has(job)) {
            this.#begin(job, sequence);
        } else {
            this.#cache.giveBack(sequence);
        }
        this.#pump();
    }

    #begin(job: Job, prepared?: Sequence): void {
        this.#queue.serve(job);
        let sequence = prepared;
        try {
            if (sequence === undefined) {
                sequence = this.context.sequence();
                job.request.steering?.apply(sequence);
            }
            const { prompt, steering, client, priority, ...options } = job.request;
            const settings = { ...options, maxTokens: job.maxTokens, sharePrefix: this.#admission.shares };
            job.begin(sequence, sequence.generate(job.tokens, settings));
        } catch (error) {
            if (sequence !== undefined) {
                this.#cache.giveBack(sequence);
            }
            this.#end(job, error);
            return;
        }
        this.#running.add(job);
        void this.#follow(job, sequence);
    }

    async #follow(job: Job, sequence: Sequence): Promise<void> {
        const { generation } = job;
        let outcome: GenerationResult | undefined;
        let failure: unknown;
        try {
            // The iterator is left where it is: closing it would end the answer.
            await generation?.batches().next();
            job.firstToken();
            this.#pump();
            outcome = await generation?.result();
        } catch (error) {
            failure = error;
        }
        this.#running.delete(job);
        if (outcome !== undefined) {
            this.#admission.learn(job, outcome.sharedTokens);
        }
        this.#vacate(job, sequence);
        this.#end(job, failure, outcome);
        this.#pump();
    }

    /** Keeps what the sequence holds, or gives it back. */
    #vacate(job: Job, sequence: Sequence): void {
        const keeps = this.#admission.shares && this.#closed === undefined && !this.context.disposed;
        const held = keeps ? sequence.position : 0;
        if (held === 0) {
            this.#cache.giveBack(sequence);
            return;
        }
        const answer = Int32Array.from(job.generation?.tokens ?? [], ({ token }) => token);
        const tokens = new Int32Array(job.tokens.length + answer.length);
        tokens.set(job.tokens);
        tokens.set(answer, job.tokens.length);
        this.#cache.keep({ sequence, key: job.key, tokens: tokens.subarray(0, held) });
    }

    #end(job: Job, failure: unknown, outcome?: GenerationResult): void {
        let reported: ServeResult | SteerError;
        if (outcome !== undefined) {
            reported = job.succeed({ ...outcome });
            this.#counts.finish(reported);
        } else {
            reported = failure instanceof SteerError ? failure : new SteerError("INTERNAL", String(failure));
            this.#counts[reported.code === "ABORTED" ? "aborted" : "failed"]++;
            job.fail(failure);
        }
        try {
            this.#options.onEnd?.(job.request, reported);
        } catch (error) {
            // The listener's own failure, for the process to hear of: no other request is to suffer from it.
            queueMicrotask(() => {
                throw error;
            });
        }
    }

    async #abort(job: Job): Promise<void> {
        if (this.#queue.remove(job)) {
            this.#end(job, abortedWaiting("the request was aborted while it waited"));
        }
        await job.generation?.abort();
        await job.result.catch(() => {});
    }

    get statistics(): SchedulerStatistics {
        const { heldTokens, promisedTokens } = this.context.statistics;
        const { firstToken, ...counts } = this.#counts;
        return {
            queued: this.#queue.size,
            running: this.#running.size,
            concurrency: this.#concurrency,
            cached: this.#cache.size,
            heldTokens,
            promisedTokens,
            memoryTokens: this.context.options.memoryTokens,
            ...counts,
            cacheEvictions: this.#cache.evictions,
            firstToken: firstToken.quantiles(),
            steering: steeringInUse(this.#running),
        };
    }

    /** True once {@link close} was called. */
    get closed(): boolean {
        return this.#closed !== undefined;
    }

    /**
     * Takes no more requests, and finishes those it has taken. What is not finished when the grace period is over ends with
     * ABORTED, and is handed back. Its sequences are then free; the context stays. Calling it again does nothing.
     */
    close({ graceMilliseconds = 0 }: { graceMilliseconds?: number } = {}): Promise<UnfinishedRequest[]> {
        this.#closed ??= this.#close(graceMilliseconds);
        return this.#closed;
    }

    async #close(graceMilliseconds: number): Promise<UnfinishedRequest[]> {
        const taken = [...this.#queue, ...this.#running];
        const over = new AbortController();
        const grace = delay(graceMilliseconds, undefined, { signal: over.signal }).catch(() => {});
        await Promise.race([grace, Promise.allSettled(taken.map((job) => job.result))]);
        over.abort();
        const unfinished = [...this.#queue, ...this.#running];
        const handedBack = unfinished.map((job) => {
            const soFar = [...(job.generation?.tokens ?? [])];
            return {
                request: job.request,
                tokens: Int32Array.from(soFar, ({ token }) => token),
                text: soFar.map(({ text }) => text).join(""),
            };
        });
        await Promise.all(unfinished.map((job) => this.#abort(job)));
        await this.#cache.clear();
        return handedBack;
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.close().then(() => {});
    }
}
