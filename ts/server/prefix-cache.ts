import type { Sequence } from "../index.js";

/** What a sequence holds, as far as the scheduler can tell: whose steering, and which tokens. */
export interface Holder {
    readonly sequence: Sequence;
    /** Of the steering; see RequestSteering. */
    readonly key: string;
    readonly tokens: Int32Array;
}

/** How many tokens `a` and `b` begin with alike. */
export function commonLength(a: Int32Array, b: Int32Array): number {
    const length = Math.min(a.length, b.length);
    let i = 0;
    while (i < length && a[i] === b[i]) {
        i++;
    }
    return i;
}

/** The holder of the longest beginning of `tokens` under the same steering, and how much it is. */
export function longestBeginning<Each extends Holder>(
    holders: Iterable<Each>,
    key: string,
    tokens: Int32Array,
): { holder: Each; length: number } | undefined {
    let best: { holder: Each; length: number } | undefined;
    for (const holder of holders) {
        const length = holder.key === key ? commonLength(holder.tokens, tokens) : 0;
        if (length > (best?.length ?? 0)) {
            best = { holder, length };
        }
    }
    return best;
}

/** Sequences whose answers are finished. They keep their tokens for prompts that begin alike, until room is needed. */
export class PrefixCache {
    /** The one used longest ago first. */
    readonly #idle = new Set<Holder>();
    readonly #onFreed: () => void;
    readonly #leaving = new Set<Promise<void>>();
    #evictions = 0;

    /** `onFreed` is called whenever a sequence and its memory have become free. */
    constructor(onFreed: () => void) {
        this.#onFreed = onFreed;
    }

    /** Sequences that are kept. */
    get size(): number {
        return this.#idle.size;
    }
    /** Sequences that are being given back. */
    get leaving(): number {
        return this.#leaving.size;
    }
    /** How many were given up for their room. */
    get evictions(): number {
        return this.#evictions;
    }

    /** Keeps a sequence. Those that hold nothing else than a beginning of what it holds are given back. */
    keep(holder: Holder): void {
        for (const other of this.#idle) {
            if (other.key === holder.key && commonLength(other.tokens, holder.tokens) === other.tokens.length) {
                this.drop(other);
            }
        }
        this.#idle.add(holder);
    }

    /** Says that a holder's tokens were of use. */
    touch(holder: Holder): void {
        if (this.#idle.delete(holder)) {
            this.#idle.add(holder);
        }
    }

    /** Gives up the one used longest ago, `spared` only if there is no other. Returns it. */
    evict(spared: Holder | undefined): Holder | undefined {
        const [first, second] = this.#idle;
        const chosen = first === spared && second !== undefined ? second : first;
        if (chosen !== undefined) {
            this.#evictions++;
            this.drop(chosen);
        }
        return chosen;
    }

    drop(holder: Holder): void {
        this.#idle.delete(holder);
        this.giveBack(holder.sequence);
    }

    /** Gives a sequence back to its context. */
    giveBack(sequence: Sequence): void {
        const leaving = sequence.dispose().then(() => {
            this.#leaving.delete(leaving);
            this.#onFreed();
        });
        this.#leaving.add(leaving);
    }

    /** Gives all of them back, and waits until they are free. */
    async clear(): Promise<void> {
        for (const holder of this.#idle) {
            this.drop(holder);
        }
        await Promise.all(this.#leaving);
    }

    [Symbol.iterator](): IterableIterator<Holder> {
        return this.#idle.values();
    }
}
