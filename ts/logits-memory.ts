import { describe } from "./check.js";
import type { NativeEntry } from "./native.js";
import { SteerError } from "./steer-error.js";

const noMemory = new Float32Array(0);

/** The caller's array, or a new one. */
export function logitsMemory(into: Float32Array | undefined, floats: number): Float32Array {
    if (into !== undefined) {
        if (!(into instanceof Float32Array)) {
            throw new SteerError("INVALID_ARGUMENT", `into must be a Float32Array, not ${describe(into)}`);
        }
        return into;
    }
    try {
        return floats === 0 ? noMemory : new Float32Array(floats);
    } catch (cause) {
        throw new SteerError("OUT_OF_MEMORY", `cannot allocate ${floats} floats of logits: ask for fewer rows`, {
            cause,
        });
    }
}

/** Rows of logits that entries ask for. */
export function countLogits(entries: NativeEntry[]): number {
    let rows = 0;
    for (const entry of entries) {
        rows += entry.logits === 2 ? entry.tokens.length : entry.logits;
    }
    return rows;
}
