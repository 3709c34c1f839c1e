import type { Context } from "../index.js";
import type { Job } from "./job.js";
import { commonLength, type Holder, longestBeginning, type PrefixCache } from "./prefix-cache.js";

/** It pays to wait for another prompt that is being computed, where at least this much would be taken from it. */
const leastAwaited = 32;
/** Steerings remembered as impossible to share. */
const rememberedKeys = 1024;

/**
 * What becomes of the next in the queue: it can begin; it fits only with what it can share, which is to be tried; it waits for
 * others; or nobody is there to wait for.
 */
export type Verdict = "begin" | "probe" | "wait" | "never";

/** Decides when a job may begin: by sequences, memory and budget, and by what it can share. */
export class Admission {
    readonly #context: Context;
    readonly #running: ReadonlySet<Job>;
    readonly #cache: PrefixCache;
    readonly #tokenBudget: number;
    /** Whether prompts take beginnings over. */
    readonly shares: boolean;
    /** Keys of steering that keeps prompts from being shared, such as functions. */
    readonly #unshared = new Set<string>();

    constructor(
        context: Context,
        running: ReadonlySet<Job>,
        cache: PrefixCache,
        { tokenBudget, prefixCache }: { tokenBudget: number; prefixCache: boolean },
    ) {
        this.#context = context;
        this.#running = running;
        this.#cache = cache;
        this.#tokenBudget = tokenBudget;
        this.shares = prefixCache && context.options.unifiedMemory;
    }

    /**
     * Whether much of its prompt is being computed for another request just now: it waits, and then takes that over. Not
     * for a prompt much longer than what they have in common.
     */
    awaitsPrefix(job: Job): boolean {
        if (!this.shares || job.request.capture !== undefined || this.#unshared.has(job.key)) {
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

    /** Whether a job can begin now. If not, gives idle sequences up for it, as far as there are any. */
    check(job: Job): Verdict {
        const underWay = [...this.#running].reduce((sum, each) => sum + each.need, 0);
        if (underWay + job.need > this.#tokenBudget) {
            return "wait";
        }
        const best = this.#bestHolder(job);
        job.likelyShared = best?.length ?? 0;
        const missing = this.missingTokens(job.need);
        const hasSequence = this.#context.freeSequences > 0;
        if (missing <= 0 && !hasSequence && this.#cache.evict(best?.holder) !== undefined) {
            // A place that is given up is free at once, unlike its memory. What could be shared may have been there.
            return this.check(job);
        }
        if (missing <= 0 && hasSequence) {
            if (best !== undefined) {
                this.#cache.touch(best.holder);
            }
            return "begin";
        }
        const entering = [...this.#running].filter(({ answering }) => !answering);
        const freed = entering.reduce((sum, { likelyShared }) => sum + likelyShared, 0);
        if (hasSequence && missing <= freed + Math.min(job.likelyShared, job.triedShared)) {
            // What those that enter share is known with their first tokens: it is looked at again then.
            return freed === 0 ? "probe" : "wait";
        }
        const gaveUp = this.#cache.leaving > 0 || this.#evict(missing, best?.holder);
        return gaveUp || this.#running.size > 0 ? "wait" : "never";
    }

    /** How many tokens too few the memory has for one that needs `need`; not positive where it fits. */
    missingTokens(need: number): number {
        const { heldTokens, promisedTokens } = this.#context.statistics;
        return heldTokens + promisedTokens + need - this.#context.options.memoryTokens;
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

    /** Looks at what a finished answer could share after all, for those to come with the same steering. */
    learn(job: Job, sharedTokens: number): void {
        if (job.likelyShared >= leastAwaited && sharedTokens === 0 && job.request.capture === undefined) {
            this.#unshared.add(job.key);
        }
        if (this.#unshared.size > rememberedKeys) {
            this.#unshared.clear();
        }
    }
}
