import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SteeringVector, type SteeringVectorOptions } from "llama-steer";
import { randomVector } from "./numbers.js";
import { TemporaryFolder } from "./temporary-folder.js";

const folder = new TemporaryFolder();
let files = 0;

/** A path in a temporary folder that nothing has had yet. */
export function newPath(ending: string): string {
    return join(folder.path, `${files++}${ending}`);
}

/** Writes bytes to such a path. */
export function newFile(ending: string, content: string | Uint8Array): string {
    return folder.write(`${files++}${ending}`, content);
}

export function vectorOf(layers: readonly number[], width: number, seed: number, options: SteeringVectorOptions = {}) {
    return new SteeringVector(layers, randomVector(layers.length * width, seed), options);
}

/** Values that are written to a GGUF file, each with GGUF's number of its type. */
export type GgufPart = [key: string, type: number, value: Uint8Array];

const little = (size: number, set: (view: DataView) => void): Buffer => {
    const bytes = Buffer.alloc(size);
    set(new DataView(bytes.buffer, bytes.byteOffset, size));
    return bytes;
};
export const u32 = (value: number): Buffer => little(4, (view) => view.setUint32(0, value, true));
export const u64 = (value: number | bigint): Buffer => little(8, (view) => view.setBigUint64(0, BigInt(value), true));
export const f32 = (value: number): Buffer => little(4, (view) => view.setFloat32(0, value, true));
export const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
export const textPart = (key: string, value: string): GgufPart => [key, 8, text(value)];
export const u32Part = (key: string, value: number): GgufPart => [key, 4, u32(value)];

export interface GgufTensorPart {
    name: string;
    shape: readonly (number | bigint)[];
    type?: number;
    data: Uint8Array;
    /** Default: behind the one before. */
    offset?: number | bigint;
}

/** A GGUF file of parts that may be wrong, written without the code under test. */
export function ggufBytes(parts: readonly GgufPart[], tensors: readonly GgufTensorPart[], version = 3): Buffer {
    const padded = (length: number): number => Math.ceil(length / 32) * 32;
    let next = 0;
    const described = tensors.map(({ name, shape, type = 0, data, offset = next }) => {
        next += padded(data.length);
        return Buffer.concat([text(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset)]);
    });
    const head = Buffer.concat([
        Buffer.from("GGUF"),
        ...[u32(version), u64(tensors.length), u64(parts.length)],
        ...parts.map(([key, type, value]) => Buffer.concat([text(key), u32(type), value])),
        ...described,
    ]);
    const filled = (bytes: Uint8Array): Buffer =>
        Buffer.concat([bytes, Buffer.alloc(padded(bytes.length) - bytes.length)]);
    return Buffer.concat([filled(head), ...tensors.map(({ data }) => filled(data))]);
}

/** A direction of floats, as a tensor of such a file. */
export function directionPart(name: string, values: readonly number[]): GgufTensorPart {
    return { name, shape: [values.length], data: Buffer.concat(values.map(f32)) };
}

/** A safetensors file of a header and data that may be wrong, written without the code under test. */
export function safetensorsBytes(header: unknown, data: Uint8Array = Buffer.alloc(0)): Buffer {
    const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
    return Buffer.concat([u64(json.length), json, data]);
}

/** The header of a safetensors file. */
export function safetensorsHeader(
    path: string,
): Record<string, { dtype: string; shape: number[]; data_offsets: number[] }> {
    const bytes = readFileSync(path);
    return JSON.parse(bytes.toString("utf8", 8, 8 + Number(bytes.readBigUInt64LE(0))));
}
