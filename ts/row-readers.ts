import type { Activations } from "./activations.js";

/** Who reads captured rows on another thread, by the memory they lie in. */
const readers = new WeakMap<ArrayBufferLike, Set<Promise<void>>>();

/** The rows are read until `reader` settles: what is to be captured into the same memory waits for that. */
export function holdRows(activations: Activations, reader: Promise<unknown>): void {
    const all = readers.get(activations.data.buffer) ?? new Set();
    const forget = (): void => void all.delete(settled);
    const settled: Promise<void> = reader.then(forget, forget);
    readers.set(activations.data.buffer, all.add(settled));
}

/** Who reads rows in this memory now. */
export function readersOf(memory: Float32Array | Uint16Array): readonly Promise<void>[] {
    return [...(readers.get(memory.buffer) ?? [])];
}
