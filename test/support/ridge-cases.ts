import { randomNumbers } from "./numbers.js";

/** A case of `test/reference/ridge_reference.py`, with what scikit-learn and SciPy made of it. */
export interface RidgeCase {
    rows: number;
    width: number;
    targets: number;
    weighted: boolean;
    intercept: boolean;
    scale: number;
    collinear: boolean;
    lambda: number;
    seed: number;
    alpha: number;
    /** [targets][width] */
    sklearn: number[];
    scipy: number[];
    intercepts: number[];
    condition: number;
    ledoitWolf?: number;
    oas?: number;
    loo?: number[];
}

/** The rows of a case, as the script makes them. */
export function ridgeData(each: Omit<RidgeCase, "alpha" | "sklearn" | "scipy" | "intercepts" | "condition">) {
    const random = randomNumbers(each.seed);
    const { rows, width } = each;
    const features = new Float32Array(rows * width);
    const targets = new Float64Array(rows * each.targets);
    const weights = new Float64Array(rows).fill(1);
    for (let i = 0; i < rows; i++) {
        const common = 2 * random() - 1;
        for (let j = 0; j < width; j++) {
            features[i * width + j] = each.scale * (1 + (2 * random() - 1) + common * (0.5 + (j % 3)));
        }
        if (each.collinear) {
            features[(i + 1) * width - 1] = (features[i * width] as number) + (features[i * width + 1] as number);
        }
        for (let t = 0; t < each.targets; t++) {
            targets[i * each.targets + t] = common * (t + 1) + (2 * random() - 1);
        }
        if (each.weighted) {
            weights[i] = i % 4 === 3 ? 0 : 0.2 + random();
        }
    }
    return { features, rows, width, targets, ...(each.weighted ? { weights } : {}) };
}
