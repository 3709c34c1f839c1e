/** Moments of some rows by their definition, in float64, with the mean taken as an offset from the first row. */
export interface ReferenceMoments {
    count: number;
    weight: number;
    squares: number;
    mean: Float64Array;
    /** [width][width]. */
    covariance: Float64Array;
}

/** Of the rows [count][width] with these weights; rows of weight 0 do not count. */
export function referenceMoments(
    rows: ArrayLike<number>,
    width: number,
    weights: ArrayLike<number>,
    belongs: (row: number) => boolean = () => true,
): ReferenceMoments {
    const chosen: number[] = [];
    for (let i = 0; i < weights.length; i++) {
        if ((weights[i] as number) > 0 && belongs(i)) {
            chosen.push(i);
        }
    }
    const at = (i: number, j: number): number => rows[i * width + j] as number;
    const weigh = (i: number): number => weights[i] as number;
    const weight = chosen.reduce((sum, i) => sum + weigh(i), 0);
    const origin = Float64Array.from({ length: width }, (_, j) => at(chosen[0] as number, j));
    const mean = origin.map(
        (start, j) => start + chosen.reduce((sum, i) => sum + weigh(i) * (at(i, j) - start), 0) / weight,
    );
    const covariance = new Float64Array(width * width);
    for (const i of chosen) {
        for (let a = 0; a < width; a++) {
            const share = (weigh(i) / weight) * (at(i, a) - (mean[a] as number));
            for (let b = 0; b < width; b++) {
                covariance[a * width + b] =
                    (covariance[a * width + b] as number) + share * (at(i, b) - (mean[b] as number));
            }
        }
    }
    return {
        count: chosen.length,
        weight,
        squares: chosen.reduce((sum, i) => sum + weigh(i) ** 2, 0),
        mean,
        covariance,
    };
}
