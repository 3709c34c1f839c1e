import type { FitDirectionOptions } from "llama-steer";
import { randomNumbers, randomVector } from "./numbers.js";
import type { Row } from "./reference-fit.js";

/** The layers of every {@link fitProblem}. */
export const fitLayers = [2, 5, 9];

export interface FitSample {
    width: number;
    rows: number;
    preserved: number;
}

/** Activations of prompts whose refusals lie apart along a random direction, in a correlated, far from centred cloud. */
export function fitProblem(sample: FitSample): Omit<FitDirectionOptions, "lambda"> & { preserve: Float32Array } {
    const { width, rows, preserved } = sample;
    const random = randomNumbers(width + rows);
    const scores = Float32Array.from({ length: rows }, (_, i) =>
        i % 5 === 4 ? 0.05 : (i % 2 ? 1 : -1) * (0.15 + 0.8 * random()),
    );
    const cloud = (count: number, seed: number, push: (row: number) => number): Float32Array => {
        const data = new Float32Array(fitLayers.length * count * width);
        fitLayers.forEach((_, slot) => {
            const offset = randomVector(width, 100 + slot, 3);
            const common = randomVector(width, 200 + slot, 1);
            const apart = randomVector(width, 300 + slot, 0.7);
            const noise = randomVector(count * width, seed + slot);
            const strength = randomVector(count, seed + 50 + slot, 2);
            for (let row = 0; row < count; row++) {
                for (let j = 0; j < width; j++) {
                    const at = row * width + j;
                    data[slot * count * width + at] =
                        (offset[j] as number) +
                        (noise[at] as number) +
                        (strength[row] as number) * (common[j] as number) +
                        push(row) * (apart[j] as number);
                }
            }
        });
        return data;
    };
    return {
        activations: cloud(rows, 1, (row) => scores[row] as number),
        preserve: cloud(preserved, 7, () => 1.5),
        layers: fitLayers,
        scores,
    };
}

/** The rows of one of its layers. */
export function rowsOfLayer(data: Float32Array, slot: number, width: number): Row[] {
    const count = data.length / fitLayers.length / width;
    return Array.from({ length: count }, (_, row) => {
        const begin = (slot * count + row) * width;
        return data.subarray(begin, begin + width);
    });
}
