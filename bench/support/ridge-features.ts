export interface RidgeProblem {
    rows: number;
    width: number;
    /** [rows][width], in shared memory. */
    features: Float32Array;
    targets: Float64Array;
}

const factors = 8;

/** A uniform number in [-1, 1) for each index, by a hash: the same for whoever asks for it. */
function hashed(seed: number): (index: number) => number {
    return (index) => {
        let bits = (index + Math.imul(seed, 0x9e3779b1)) | 0;
        bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
        bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
        return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 31 - 1;
    };
}

/**
 * Rows like those of a residual stream: variances that fall off as (1 + j)^-1/2 and eight strong common factors, whose
 * variance is up to some hundred times the rest's; or `"white"`, independent numbers of equal variance, the easiest spectrum there is.
 * Targets follow the features, with noise.
 */
export function ridgeProblem(rows: number, width: number, spectrum: "decaying" | "white", seed: number): RidgeProblem {
    const noise = hashed(seed);
    const loading = hashed(seed + 1);
    const score = hashed(seed + 2);
    const features = new Float32Array(new SharedArrayBuffer(4 * rows * width));
    const targets = new Float64Array(rows);
    const scales = Float64Array.from({ length: width }, (_, j) => (spectrum === "white" ? 1 : (1 + j) ** -0.25));
    const loadings = Float64Array.from({ length: factors * width }, (_, i) => loading(i));
    const row = new Float64Array(width);
    for (let i = 0; i < rows; i++) {
        for (let j = 0; j < width; j++) {
            row[j] = (scales[j] as number) * noise(i * width + j);
        }
        for (let f = 0; spectrum === "decaying" && f < factors; f++) {
            const strength = (3 * score(i * factors + f)) / (1 + f);
            for (let j = 0; j < width; j++) {
                row[j] = (row[j] as number) + strength * (loadings[f * width + j] as number);
            }
        }
        features.set(row, i * width);
        targets[i] = (row[0] as number) - 2 * (row[width - 1] as number) + 0.5 * noise(-1 - i);
    }
    return { rows, width, features, targets };
}
