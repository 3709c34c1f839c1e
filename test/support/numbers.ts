/** Largest absolute difference of two vectors of the same length; NaN counts as infinitely far. */
export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
    if (a.length !== b.length) {
        return Number.POSITIVE_INFINITY;
    }
    let largest = 0;
    for (let i = 0; i < a.length; i++) {
        const difference = Math.abs((a[i] as number) - (b[i] as number));
        largest = difference <= largest ? largest : Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
    }
    return largest;
}

/** Index of the largest value. */
export function argMax(values: ArrayLike<number>): number {
    let best = 0;
    for (let i = 1; i < values.length; i++) {
        if ((values[i] as number) > (values[best] as number)) {
            best = i;
        }
    }
    return best;
}

/** ln of the softmax of `logits`, in float64. */
export function logSoftmax(logits: Float32Array): Float64Array {
    const peak = logits.reduce((a, b) => Math.max(a, b));
    const sum = logits.reduce((total, each) => total + Math.exp(each - peak), 0);
    return Float64Array.from(logits, (each) => each - peak - Math.log(sum));
}

/** The same pseudo-random numbers in [0, 1) for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
    let state = seed;
    return () => {
        state = (state + 0x6d2b79f5) | 0;
        let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
        mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
}

/** Pseudo-random floats, roughly normal with mean 0 and deviation `scale`. */
export function randomVector(length: number, seed: number, scale = 1): Float32Array {
    const random = randomNumbers(seed);
    const normal = (): number => random() + random() + random() + random() - 2;
    return Float32Array.from({ length }, () => normal() * scale * Math.sqrt(3));
}
