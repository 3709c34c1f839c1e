/** Quantiles of the last times measured, in milliseconds; undefined before the first. */
export interface Latency {
    p50: number;
    p95: number;
    p99: number;
    /** How many it is made from. */
    count: number;
}

const kept = 1024;

/** Keeps the last {@link kept} times of something that happens again and again. */
export class LatencyWindow {
    readonly #times = new Float64Array(kept);
    #count = 0;

    add(milliseconds: number): void {
        this.#times[this.#count++ % kept] = milliseconds;
    }

    quantiles(): Latency | undefined {
        const count = Math.min(this.#count, kept);
        if (count === 0) {
            return undefined;
        }
        const sorted = this.#times.slice(0, count).sort();
        const at = (part: number): number => sorted[Math.ceil(part * count) - 1] as number;
        return { p50: at(0.5), p95: at(0.95), p99: at(0.99), count };
    }
}
