import type { SteeringVector } from "../steering-vector.js";
import { damaged } from "./byte-reader.js";
import { readSafetensors, type SafetensorsTensor } from "./safetensors-reader.js";
import { writeSafetensors } from "./safetensors-writer.js";
import { type ElementType, elementSizes, readElements, writeFloats } from "./tensor-elements.js";
import { checkDirections, directionNumber, directionWidth, type VectorFile } from "./vector-file.js";
import { type FileKeys, keyEntries, versionKey } from "./vector-keys.js";

/** Our tensors: one matrix [layers][hidden size], the layers of its rows, and the norms of those layers where known. */
const names = { directions: "directions", layers: "layers", norms: "norms" } as const;
/** Theirs, up to the number of the direction. */
const lead = "direction.";

/** Writes a vector as a safetensors file. @throws SteerError INVALID_ARGUMENT where its metadata are too long */
export function writeSafetensorsVector(vector: SteeringVector): Uint8Array {
    const { layers, hiddenSize, data, norms } = vector;
    const metadata = Object.fromEntries(keyEntries(vector).map(({ key, value }) => [key, String(value)]));
    const numbers = Buffer.alloc(4 * layers.length);
    layers.forEach((layer, i) => {
        numbers.writeInt32LE(layer, 4 * i);
    });
    const count = layers.length;
    return writeSafetensors({ format: "llama-steer vector", ...metadata }, [
        { name: names.directions, type: "F32", shape: [count, hiddenSize], bytes: writeFloats(data) },
        { name: names.layers, type: "I32", shape: [count], bytes: numbers },
        ...(norms ? [{ name: names.norms, type: "F32", shape: [count], bytes: writeFloats(norms) } as const] : []),
    ]);
}

/**
 * Reads our files, and those of others that hold a tensor `direction.N` for each direction.
 *
 * @throws SteerError DATA_DAMAGED
 */
export function readSafetensorsVector(bytes: Uint8Array, file: string): VectorFile {
    const { metadata, tensors } = readSafetensors(bytes, file);
    const keys = keysOf(metadata, file);
    const own = metadata.has(versionKey);
    if (!own && !tensors.some(({ name }) => name.startsWith(lead))) {
        throw damaged(
            file,
            "a safetensors file of another kind: a vector has our metadata, or tensors named direction.N",
        );
    }
    const parts = own
        ? readOwn(bytes, tensors, file)
        : { directions: readNamed(bytes, tensors, file), norms: undefined };
    checkDirections(parts.directions, file);
    return { file, keys, architecture: undefined, ...parts };
}

/** Metadata are texts, and numbers are written as such. */
function keysOf(metadata: ReadonlyMap<string, string>, file: string): FileKeys {
    return {
        keys: () => [...metadata.keys()],
        text: (key) => metadata.get(key),
        number: (key) => {
            const text = metadata.get(key);
            if (text !== undefined && !/^-?\d[\d.]*(?:e[-+]?\d+)?$/i.test(text)) {
                throw damaged(file, `${key} is ${JSON.stringify(text.slice(0, 40))}; expected a number`);
            }
            return text === undefined ? undefined : Number(text);
        },
    };
}

function readOwn(
    bytes: Uint8Array,
    tensors: readonly SafetensorsTensor[],
    file: string,
): { directions: Map<number, Float32Array>; norms: Float32Array | undefined } {
    const find = (name: string): SafetensorsTensor | undefined => tensors.find((tensor) => tensor.name === name);
    const [matrix, layers, norms] = [find(names.directions), find(names.layers), find(names.norms)];
    const [count = 0, width = 0] = matrix?.shape ?? [];
    const isShaped =
        matrix?.shape.length === 2 && layers?.type === "I32" && layers.shape.length === 1 && layers.shape[0] === count;
    if (!isShaped || (norms !== undefined && norms.shape.join() !== String(count))) {
        throw damaged(file, "expected directions [layers][width], layers [layers] of I32 and, maybe, norms [layers]");
    }
    const data = floatsOf(bytes, matrix, file);
    const numbers = new DataView(bytes.buffer, bytes.byteOffset + layers.begin, layers.end - layers.begin);
    const directions = new Map<number, Float32Array>();
    for (let row = 0; row < count; row++) {
        const layer = numbers.getInt32(4 * row, true);
        if (layer < 0 || layer <= (row === 0 ? -1 : numbers.getInt32(4 * row - 4, true))) {
            throw damaged(file, `layers holds ${layer} at ${row}; expected ascending numbers from 0 on`);
        }
        directions.set(layer, data.subarray(row * width, (row + 1) * width));
    }
    return { directions, norms: norms && floatsOf(bytes, norms, file) };
}

function readNamed(bytes: Uint8Array, tensors: readonly SafetensorsTensor[], file: string): Map<number, Float32Array> {
    return new Map(
        tensors.map((tensor) => {
            directionWidth(tensor.shape, tensor.name, file);
            return [directionNumber(tensor.name, lead, file), floatsOf(bytes, tensor, file)];
        }),
    );
}

function floatsOf(bytes: Uint8Array, { name, type, begin, end }: SafetensorsTensor, file: string): Float32Array {
    if (!Object.hasOwn(elementSizes, type)) {
        throw damaged(file, `${name} is of type ${type}; expected F32, F16 or BF16`);
    }
    return readElements(bytes.subarray(begin, end), type as ElementType);
}
