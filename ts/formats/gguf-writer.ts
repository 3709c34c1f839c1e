import { ggufTypes } from "./gguf-reader.js";
import { writeFloats } from "./tensor-elements.js";

const version = 3;
const alignment = 32;
const f32Tensor = 0;

/** A value of a GGUF file, with the type it is written as. */
export type GgufEntry =
    | { key: string; type: "text"; value: string }
    | { key: string; type: "u32" | "i32" | "u64" | "f64"; value: number }
    | { key: string; type: "floats"; value: Float32Array };

/** A GGUF file of one-dimensional float32 tensors. */
export function writeGguf(
    entries: readonly GgufEntry[],
    tensors: readonly [name: string, data: Float32Array][],
): Uint8Array {
    const parts: Uint8Array[] = [Buffer.from("GGUF"), u32(version), u64(tensors.length), u64(entries.length)];
    for (const entry of entries) {
        parts.push(text(entry.key), ...valueBytes(entry));
    }
    let offset = 0;
    for (const [name, data] of tensors) {
        parts.push(text(name), u32(1), u64(data.length), u32(f32Tensor), u64(offset));
        offset += padded(4 * data.length);
    }
    parts.push(padding(parts.reduce((total, each) => total + each.length, 0)));
    for (const [, data] of tensors) {
        parts.push(writeFloats(data), padding(4 * data.length));
    }
    return Buffer.concat(parts);
}

function valueBytes(entry: GgufEntry): Uint8Array[] {
    switch (entry.type) {
        case "text":
            return [u32(ggufTypes.text), text(entry.value)];
        case "floats":
            return [u32(ggufTypes.array), u32(ggufTypes.f32), u64(entry.value.length), writeFloats(entry.value)];
        case "f64":
            return [u32(ggufTypes.f64), number(8, (view) => view.setFloat64(0, entry.value, true))];
        case "u64":
            return [u32(ggufTypes.u64), u64(entry.value)];
        default:
            return [u32(ggufTypes[entry.type]), u32(entry.value)];
    }
}

function number(size: number, set: (view: DataView) => void): Uint8Array {
    const bytes = new Uint8Array(size);
    set(new DataView(bytes.buffer));
    return bytes;
}

const u32 = (value: number): Uint8Array => number(4, (view) => view.setUint32(0, value, true));
const u64 = (value: number): Uint8Array => number(8, (view) => view.setBigUint64(0, BigInt(value), true));

function text(value: string): Uint8Array {
    const bytes = Buffer.from(value, "utf8");
    return Buffer.concat([u64(bytes.length), bytes]);
}

function padded(bytes: number): number {
    return Math.ceil(bytes / alignment) * alignment;
}

/** Zeros from `length` to the next multiple of the alignment. */
function padding(length: number): Uint8Array {
    return new Uint8Array(padded(length) - length);
}
