import type { Activations } from "llama-steer";
import { randomNumbers } from "./numbers.js";
import { chatContext } from "./testbed.js";

/** Captured rows of layers 1, 2 and 3, with a group (-1, 0 or 1) and a weight each. */
export interface CapturedRows {
    activations: Activations;
    groups: Int32Array;
    weights: Float64Array;
}

/** Activations of random tokens: for odd seeds copied to plain memory, for even ones in the shared memory of a capture. */
export async function captured(rows: number, seed: number): Promise<CapturedRows> {
    const context = await chatContext();
    const capture = context.capture({ layers: [1, 2, 3], capacity: rows + 3 });
    const random = randomNumbers(seed);
    await context.sequence().evaluate(Int32Array.from({ length: rows }, () => 3 + Math.floor(random() * 800)));
    const activations = seed % 2 === 0 ? capture : capture.copy();
    await context.dispose();
    return {
        activations,
        groups: Int32Array.from({ length: rows }, () => Math.floor(random() * 3) - 1),
        weights: Float64Array.from({ length: rows }, (_, i) => (i % 6 === 5 ? 0 : 0.2 + random())),
    };
}
