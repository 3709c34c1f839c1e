import { covarianceOf, dot, meanOf, minus, plus, type Row, scaled, solve } from "./reference-fit.js";

/** Rows with their weights |c|, of the scores beyond 0.1. */
export interface Classes {
    refusing: [Row, number][];
    complying: [Row, number][];
}

export function classesOf(rows: readonly Row[], scores: ArrayLike<number>): Classes {
    const of = (sign: number): [Row, number][] =>
        rows.flatMap((row, i) => {
            const score = sign * (scores[i] as number);
            return score > 0.1 ? [[row, score] as [Row, number]] : [];
        });
    return { refusing: of(1), complying: of(-1) };
}

const weightOf = (rows: readonly [Row, number][]): number => rows.reduce((sum, [, weight]) => sum + weight, 0);
const trace = (sigma: readonly Float64Array[]): number => sigma.reduce((sum, row, i) => sum + (row[i] as number), 0);
const unit = (v: Row): Float64Array => scaled(v, 1 / Math.sqrt(dot(v, v)));

/** (Σ + λI)⁻¹(μ_R - μ_C) with the covariance within both classes; λ in multiples of tr(Σ)/d. */
export function referenceLda({ refusing, complying }: Classes, lambda: number): Float64Array {
    const share = weightOf(refusing) / (weightOf(refusing) + weightOf(complying));
    const sigma = plus(
        covarianceOf(refusing).map((row) => scaled(row, share)),
        covarianceOf(complying).map((row) => scaled(row, 1 - share)),
    );
    const ridge = (lambda * trace(sigma)) / sigma.length;
    sigma.forEach((row, i) => {
        row[i] = (row[i] as number) + ridge;
    });
    return unit(solve(sigma, minus(meanOf(refusing), meanOf(complying))));
}

/** First principal component of the differences of all pairs, by powers. */
export function referencePca({ refusing, complying }: Classes): Float64Array {
    const shift = minus(meanOf(refusing), meanOf(complying));
    let v = unit(shift.map((each, j) => each + 0.1 * Math.cos(j)));
    for (let step = 0; step < 300; step++) {
        const next = new Float64Array(v.length);
        for (const [r, wr] of refusing) {
            for (const [c, wc] of complying) {
                const pair = minus(r, c);
                const factor = wr * wc * dot(pair, v);
                pair.forEach((each, j) => {
                    next[j] = (next[j] as number) + factor * each;
                });
            }
        }
        v = unit(next);
    }
    return dot(v, shift) < 0 ? scaled(v, -1) : v;
}

/** λ, absolute, of the covariance of the complying rows by oracle approximating shrinkage (scikit-learn's formula). */
export function referenceOas({ complying }: Classes): number {
    const sigma = covarianceOf(complying);
    const d = sigma.length;
    const squares = complying.reduce((sum, [, weight]) => sum + weight * weight, 0);
    const n = weightOf(complying) ** 2 / squares;
    const mu = trace(sigma) / d;
    const alpha = sigma.reduce((sum, row) => sum + dot(row, row), 0) / d ** 2;
    const share = Math.min(1, (alpha + mu ** 2) / ((n + 1) * (alpha - mu ** 2 / d)));
    return (share / (1 - share)) * mu;
}

/**
 * How far from the optimum of the ridge logistic regression a solution v, b is: |gradient by v| in multiples of what it is
 * at v = 0.
 */
export function logisticGradient({ refusing, complying }: Classes, v: Row, b: number, lambda: number): number {
    const total = weightOf(refusing) + weightOf(complying);
    const at = (solution: Row, intercept: number): number => {
        let gradient = scaled(solution, lambda);
        for (const [rows, y] of [[refusing, 1] as const, [complying, -1] as const]) {
            for (const [row, weight] of rows) {
                const slope = -y / (1 + Math.exp(y * (dot(row, solution) + intercept)));
                gradient = gradient.map((each, j) => each + (weight / total) * slope * (row[j] as number));
            }
        }
        return Math.sqrt(dot(gradient, gradient));
    };
    return at(v, b) / at(new Float64Array(v.length), Math.log(weightOf(refusing) / weightOf(complying)));
}
