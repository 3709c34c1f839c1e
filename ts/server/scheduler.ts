import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { Context, type GenerationResult, type Sequence, SteerError } from "../index.js";
import { abortedWaiting, Job } from "./job.js";
import { checkedOptions, count } from "./options.js";
import { commonLength, type Holder, longestBeginning, PrefixCache } from "./prefix-cache.js";
import { RequestQueue } from "./request-queue.js";
import { ScheduledAnswer } from "./scheduled-answer.js";
import { SchedulerCounts, type SchedulerStatistics, steeringInUse } from "./scheduler-statistics.js";
import type { ServeRequest, ServeResult, UnfinishedRequest } from "./serve-request.js";

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

const optionsSchema = z.strictObject({
    concurrency: count.optional(),
    queueLimit: z.int().min(0).default(256),
    policy: z.enum(["fair", "priority"]).default("fair"),
    tokenBudget: count.default(Number.MAX_SAFE_INTEGER),
    defaultMaxTokens: count.default(256),
    prefixCache: z.boolean().default(true),
    onEnd: z.custom<SchedulerOptions["onEnd"]>((value) => typeof value === "function", "must be a function").optional(),
});

const requestSchema = z.looseObject({
    maxTokens: count.optional(),
    client: z.string().optional(),
    priority: z.number().optional(),
    steering: z
        .object({ key: z.string(), apply: z.custom((value) => typeof value === "function", "must be a function") })
        .optional(),
    signal: z.instanceof(AbortSignal).optional(),
});

/** It pays to wait for another prompt that is being computed, where at least this much would be taken from it. */
const leastAwaited = 32;
/** Steerings remembered as impossible to share. */
const rememberedKeys = 1024;

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
    readonly #options: z.output<typeof optionsSchema>;
    readonly #concurrency: number;
    readonly #queue: RequestQueue<Job>;
    readonly #running = new Set<Job>();
    readonly #cache = new PrefixCache(() => this.#pump());
    readonly #counts = new SchedulerCounts();
    readonly #shares: boolean;
    /** Keys of steering that keeps prompts from being shared, such as functions. */
    readonly #unshared = new Set<string>();
    #probing = false;
    #closed: Promise<UnfinishedRequest[]> | undefined;

    /** @throws SteerError INVALID_ARGUMENT, DISPOSED */
    constructor(context: Context, options: SchedulerOptions = {}) {
        if (!(context instanceof Context)) {
            throw new SteerError("INVALID_ARGUMENT", "a scheduler needs a Context");
        }
        this.context = context;
        this.#options = checkedOptions(optionsSchema, options, "options");
        const { sequences, unifiedMemory } = context.options;
        this.#concurrency = Math.min(this.#options.concurrency ?? sequences, sequences);
        this.#queue = new RequestQueue(this.#options.policy);
        this.#shares = this.#options.prefixCache && unifiedMemory;
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
        checkedOptions(requestSchema, request, "request");
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
            const job = this.#queue.next((each) => !this.#awaitsPrefix(each));
            if (job === undefined || !this.#hasRoom(job)) {
                break;
            }
            this.#begin(job);
        }
        if (this.context.disposed) {
            for (const job of this.#queue) {
                this.#queue.remove(job);
                this.#end(job, new SteerError("DISPOSED", "the context was disposed"));
            }
        }
    }

    /**
     * Whether much of its prompt is being computed for another request just now: it waits, and then takes that over. Not
     * for a prompt much longer than what they have in common.
     */
    #awaitsPrefix(job: Job): boolean {
        if (!this.#shares || job.request.capture !== undefined || this.#unshared.has(job.key)) {
            return false;
        }
        const least = Math.max(leastAwaited, job.tokens.length / 2);
        const commons = [...this.#running].map((other) => {
            const common = other.answering || other.key !== job.key ? 0 : commonLength(other.tokens, job.tokens);
            return other.tokens.length <= 2 * common ? common : 0;
        });
        const common = Math.max(0, ...commons);
        return common >= least && common - (this.#bestHolder(job)?.length ?? 0) >= least;
    }

    #bestHolder(job: Job): { holder: Holder; length: number } | undefined {
        const running = [...this.#running].flatMap((each) => each.holder ?? []);
        return longestBeginning([...this.#cache, ...running], job.key, job.tokens);
    }

    /** Whether a job can begin now. If not, sees to it that it can, as far as idle sequences allow. */
    #hasRoom(job: Job): boolean {
        const underWay = [...this.#running].reduce((sum, each) => sum + each.need, 0);
        if (underWay + job.need > this.#options.tokenBudget) {
            return false;
        }
        const best = this.#bestHolder(job);
        job.likelyShared = best?.length ?? 0;
        const missing = this.#missingTokens(job.need);
        const hasSequence = this.#freeSequences() > 0;
        if (hasSequence && missing <= 0) {
            if (best !== undefined) {
                this.#cache.touch(best.holder);
            }
            return true;
        }
        const entering = [...this.#running].filter(({ answering }) => !answering);
        const freed = entering.reduce((sum, { likelyShared }) => sum + likelyShared, 0);
        if (hasSequence && missing <= freed + Math.min(job.likelyShared, job.triedShared)) {
            // What those that enter share is known with their first tokens: it is looked at again then.
            if (freed === 0) {
                void this.#probe(job);
            }
        } else if (this.#cache.leaving === 0 && !this.#evict(missing, best?.holder) && this.#running.size === 0) {
            this.#queue.remove(job);
            this.#end(job, new SteerError("CONTEXT_FULL", "others than the scheduler hold the context's memory"));
            this.#pump();
        }
        return false;
    }

    #freeSequences(): number {
        return this.context.options.sequences - this.#running.size - this.#cache.size - this.#cache.leaving;
    }

    /** How many tokens too few the memory has for one that needs `need`; not positive where it fits. */
    #missingTokens(need: number): number {
        const { heldTokens, promisedTokens } = this.context.statistics;
        return heldTokens + promisedTokens + need - this.context.options.memoryTokens;
    }

    /** Gives up idle sequences: one at least, and as many as the missing tokens take. Returns false if there are none. */
    #evict(missing: number, spared: Holder | undefined): boolean {
        let left = missing;
        let evicted = this.#cache.evict(spared);
        const any = evicted !== undefined;
        while (evicted !== undefined && left > evicted.tokens.length) {
            left -= evicted.tokens.length;
            evicted = this.#cache.evict(spared);
        }
        return any;
    }

    /** A job that fits only with what it can share: tries how much that is, and begins it if it is enough. */
    async #probe(job: Job): Promise<void> {
        this.#probing = true;
        const sequence = this.context.sequence();
        let fits = false;
        try {
            job.request.steering?.apply(sequence);
            job.triedShared = await sequence.sharePrefix(job.tokens);
            fits = this.#missingTokens(job.need - job.triedShared) <= 0;
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
            const settings = { ...options, maxTokens: job.maxTokens, sharePrefix: this.#shares };
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
        if (
            outcome !== undefined &&
            job.likelyShared > 1 &&
            outcome.sharedTokens === 0 &&
            job.request.capture === undefined
        ) {
            this.#remember(job.key);
        }
        this.#vacate(job, sequence);
        this.#end(job, failure, outcome);
        this.#pump();
    }

    #remember(key: string): void {
        this.#unshared.add(key);
        if (this.#unshared.size > rememberedKeys) {
            this.#unshared.clear();
        }
    }

    /** Keeps what the sequence holds, or gives it back. */
    #vacate(job: Job, sequence: Sequence): void {
        const keeps = this.#shares && this.#closed === undefined && !this.context.disposed;
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
        this.#options.onEnd?.(job.request, reported);
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
