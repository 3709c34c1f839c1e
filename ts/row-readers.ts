import type { Activations } from "./activations.js";

/** Who reads captured rows on another thread, by the memory they lie in. */
const readers = new WeakMap<ArrayBufferLike, Set<Promise<void>>>();

/** The rows are read until `reader` settles: a live capture's next evaluation waits for that. */
export function holdRows(activations: Activations, reader: Promise<unknown>): void {
    const all = readers.get(activations.data.buffer) ?? new Set();
    const forget = (): void => void all.delete(settled);
    const settled: Promise<void> = reader.then(forget, forget);
    readers.set(activations.data.buffer, all.add(settled));
}

/** Who reads these rows now. */
export function readersOf(activations: Activations): readonly Promise<void>[] {
    return [...(readers.get(activations.data.buffer) ?? [])];
}
