import { markAsUntransferable } from "node:worker_threads";
import { SteerError } from "./steer-error.js";

/** What can be lent: numbers, or the bits of half-precision numbers. */
export type LendableArray = Float32Array | Uint16Array;

/** The arrays lent, by the memory they are views of. */
const lent = new WeakMap<ArrayBufferLike, Set<LendableArray>>();

/**
 * Lends memory to native code: no second writer may have any of it meanwhile, and an ArrayBuffer can never again be
 * transferred to another thread, which would pull it from under the native writer.
 *
 * @throws SteerError BUFFER_IN_USE
 */
export function lease(memory: LendableArray): void {
    const others = lent.get(memory.buffer) ?? new Set();
    for (const other of others) {
        if (overlap(memory, other)) {
            throw new SteerError(
                "BUFFER_IN_USE",
                "this memory is lent to a capture or an evaluation: dispose the capture, wait for the evaluation, or use " +
                    "other memory",
            );
        }
    }
    if (memory.length > 0) {
        lent.set(memory.buffer, others.add(memory));
        if (memory.buffer instanceof ArrayBuffer) {
            markAsUntransferable(memory.buffer);
        }
    }
}

/** Ends a lease. */
export function release(memory: LendableArray): void {
    lent.get(memory.buffer)?.delete(memory);
}

function overlap(a: LendableArray, b: LendableArray): boolean {
    return a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength;
}
