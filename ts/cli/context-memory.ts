import type { Model } from "../index.js";

/** llama.cpp rounds the tokens of a memory up to a multiple of it. */
const cellStep = 256;
const halfBytes = 2;

/**
 * Bytes of the keys and values that a context keeps in half precision, all sequences together: what llama.cpp allocates
 * where every layer attends over everything, and more than that where some have a sliding window or a recurrent state.
 * Undefined where the file does not say what its heads are, as for models that are recurrent throughout.
 */
export function keyValueBytes(model: Model, sequences: number, contextSize: number): number | undefined {
    const { architecture, layers, heads, hiddenSize } = model.info;
    const numbers = (key: string): number[] | undefined =>
        numbersOf(model.metadata(`${architecture}.attention.${key}`), layers);
    const kvHeads = numbers("head_count_kv") ?? numbers("head_count");
    if (kvHeads === undefined || heads < 1) {
        return undefined;
    }
    const perHead = hiddenSize / heads;
    const keys = numbers("key_length")?.[0] ?? perHead;
    const values = numbers("value_length")?.[0] ?? perHead;
    const cells = Math.ceil((sequences * contextSize) / cellStep) * cellStep;
    const width = kvHeads.reduce((sum, each) => sum + each * (keys + values), 0);
    return cells * width * halfBytes;
}

/** A number for every layer, from metadata that hold one for all or a list. */
function numbersOf(text: string | undefined, layers: number): number[] | undefined {
    if (text === undefined) {
        return undefined;
    }
    const found = text.match(/\d+/g)?.map(Number) ?? [];
    return found.length === 1 ? new Array<number>(layers).fill(found[0] as number) : found.slice(0, layers);
}
