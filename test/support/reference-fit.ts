/** One row of float64 or float32 numbers. */
export type Row = ArrayLike<number>;

export interface ReferenceProblem {
    rows: readonly Row[];
    scores: readonly number[];
    preserve?: readonly Row[];
    method: "md" | "rmd" | "wrmd";
    lambda: number;
    preserveMode: "none" | "covariance-within" | "covariance-pooled" | "project-out";
    threshold: number;
}

/**
 * A refusal direction by the book: arXiv 2512.16602, plain float64 loops and Gaussian elimination. Returns it as long as
 * the gap of the class means along it, and λ as used.
 */
export function referenceFit(problem: ReferenceProblem): { direction: Float64Array; gap: number; lambda: number } {
    const { rows, scores, preserve = [], method, preserveMode, threshold } = problem;
    const weigh = (score: number): number => (method === "wrmd" ? Math.abs(score) : 1);
    const select = (belongs: (score: number) => boolean): [Row, number][] =>
        rows.flatMap((row, i) => {
            const score = scores[i] as number;
            return belongs(score) ? [[row, weigh(score)] as [Row, number]] : [];
        });
    const refusing = select((score) => score > threshold);
    const complying = select((score) => score < -threshold);
    const kept = preserve.map((row): [Row, number] => [row, 1]);

    const center = meanOf(complying);
    const shift = minus(meanOf(refusing), center);
    let v = shift;
    if (preserveMode === "project-out") {
        const along = minus(meanOf(kept), center);
        v = minus(v, scaled(along, dot(v, along) / dot(along, along)));
    }
    let lambda = 0;
    if (method !== "md") {
        let sigma = covarianceOf(complying);
        if (preserveMode === "covariance-within" || preserveMode === "covariance-pooled") {
            sigma = plus(
                sigma.map((row) => scaled(row, 0.5)),
                covarianceOf(kept).map((row) => scaled(row, 0.5)),
            );
        }
        if (preserveMode === "covariance-pooled") {
            const between = minus(meanOf(kept), center);
            sigma = plus(
                sigma,
                Array.from(between, (each) => scaled(between, each / 4)),
            );
        }
        const trace = sigma.reduce((sum, row, i) => sum + (row[i] as number), 0);
        lambda = (problem.lambda * trace) / sigma.length;
        sigma.forEach((row, i) => {
            row[i] = (row[i] as number) + lambda;
        });
        v = solve(sigma, v);
    }
    const unit = scaled(v, 1 / Math.sqrt(dot(v, v)));
    const gap = dot(unit, shift);
    return { direction: scaled(unit, gap), gap, lambda };
}

export function meanOf(rows: readonly [Row, number][]): Float64Array {
    const width = rows[0]?.[0].length ?? 0;
    const total = rows.reduce((sum, [, weight]) => sum + weight, 0);
    return Float64Array.from(
        { length: width },
        (_, j) => rows.reduce((sum, [row, weight]) => sum + weight * (row[j] as number), 0) / total,
    );
}

export function covarianceOf(rows: readonly [Row, number][]): Float64Array[] {
    const center = meanOf(rows);
    const total = rows.reduce((sum, [, weight]) => sum + weight, 0);
    const centered = rows.map(([row, weight]) => [minus(row, center), weight] as const);
    return Array.from(center, (_, i) =>
        center.map(
            (_, j) =>
                centered.reduce((sum, [row, weight]) => sum + weight * (row[i] as number) * (row[j] as number), 0) /
                total,
        ),
    );
}

/** Solves A x = b by Gaussian elimination with partial pivoting. */
export function solve(matrix: readonly Float64Array[], right: Float64Array): Float64Array {
    const size = right.length;
    const rows: Float64Array[] = matrix.map((row, i) => Float64Array.from([...row, right[i] as number]));
    for (let column = 0; column < size; column++) {
        let pivot = column;
        for (let i = column + 1; i < size; i++) {
            if (Math.abs(rows[i]?.[column] as number) > Math.abs(rows[pivot]?.[column] as number)) {
                pivot = i;
            }
        }
        const chosen = rows[pivot] as Float64Array;
        rows[pivot] = rows[column] as Float64Array;
        rows[column] = chosen;
        for (let i = 0; i < size; i++) {
            const factor = (rows[i]?.[column] as number) / (chosen[column] as number);
            if (i !== column && factor !== 0) {
                rows[i] = minus(rows[i] as Float64Array, scaled(chosen, factor));
            }
        }
    }
    return Float64Array.from(rows, (row, i) => (row[size] as number) / (row[i] as number));
}

export function plus(a: readonly Float64Array[], b: readonly Float64Array[]): Float64Array[] {
    return a.map((row, i) => row.map((each, j) => each + (b[i]?.[j] as number)));
}

export function minus(a: Row, b: Row): Float64Array {
    return Float64Array.from(a, (each, i) => each - (b[i] as number));
}

export function scaled(a: Row, factor: number): Float64Array {
    return Float64Array.from(a, (each) => each * factor);
}

export function dot(a: Row, b: Row): number {
    let sum = 0;
    for (let i = 0; i < a.length; i++) {
        sum += (a[i] as number) * (b[i] as number);
    }
    return sum;
}
