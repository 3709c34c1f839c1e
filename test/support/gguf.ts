import { readFileSync } from "node:fs";
import { fromHalf } from "./half.js";

const fixedSizes: Record<number, number> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
const stringType = 8;
const arrayType = 9;

/** ggml's numbers of the types that the test-bed's files hold. */
export const tensorTypes = { f32: 0, f16: 1 } as const;

export interface GgufTensor {
    name: string;
    shape: number[];
    type: number;
    /** Of its data, from the beginning of the data. */
    offset: number;
    /** Where in the file its type is written, to patch it. */
    typeAt: number;
}

/** Where things lie in a GGUF file (version 3, little-endian). */
export interface GgufLayout {
    bytes: Buffer;
    /** Where each metadata value begins, behind its type. */
    values: Map<string, { type: number; at: number }>;
    tensors: GgufTensor[];
    /** Where the first tensor's description begins. */
    tensorsAt: number;
    /** Where the last one's ends. */
    tensorsEnd: number;
    dataAt: number;
}

/** Reads the layout of a well-formed GGUF file. */
export function readGguf(path: string): GgufLayout {
    const bytes = readFileSync(path);
    let at = 8;
    const advance = (count: number): number => {
        at += count;
        return at - count;
    };
    const u32 = (): number => bytes.readUInt32LE(advance(4));
    const u64 = (): number => Number(bytes.readBigUInt64LE(advance(8)));
    const text = (): string => {
        const length = u64();
        return bytes.toString("utf8", advance(length), at);
    };
    const skip = (type: number): void => {
        if (type === stringType) {
            text();
        } else if (type === arrayType) {
            const element = u32();
            for (let left = u64(); left > 0; left--) {
                skip(element);
            }
        } else {
            at += fixedSizes[type] as number;
        }
    };

    const tensorCount = u64();
    const values: GgufLayout["values"] = new Map();
    for (let left = u64(); left > 0; left--) {
        const key = text();
        const type = u32();
        values.set(key, { type, at });
        skip(type);
    }
    const tensorsAt = at;
    const tensors = Array.from({ length: tensorCount }, (): GgufTensor => {
        const name = text();
        const shape = Array.from({ length: u32() }, u64);
        const typeAt = at;
        const type = u32();
        return { name, shape, type, offset: u64(), typeAt };
    });
    return { bytes, values, tensors, tensorsAt, tensorsEnd: at, dataAt: Math.ceil(at / 32) * 32 };
}

/** The elements of a tensor. */
export function tensorValues({ bytes, tensors, dataAt }: GgufLayout, name: string): Float32Array {
    const tensor = tensors.find((each) => each.name === name);
    if (tensor === undefined) {
        throw new Error(`there is no tensor ${name}`);
    }
    const count = tensor.shape.reduce((product, each) => product * each, 1);
    const begin = dataAt + tensor.offset;
    const half = tensor.type === tensorTypes.f16;
    return Float32Array.from({ length: count }, (_, i) =>
        half ? fromHalf(bytes.readUInt16LE(begin + 2 * i)) : bytes.readFloatLE(begin + 4 * i),
    );
}

/**
 * The same model with F32 weights. F16 weights round every activation to F16 too, so that the last bit of a sum decides
 * over one part in 2000 of the next layer's input; comparing runs of different batch shapes closely takes F32.
 */
export function toFloat32(path: string): Buffer {
    const layout = readGguf(path);
    const head = Buffer.from(layout.bytes.subarray(0, layout.dataAt));
    const parts: Buffer[] = [head];
    let offset = 0;
    for (const { name, typeAt } of layout.tensors) {
        const values = tensorValues(layout, name);
        const data = Buffer.alloc(Math.ceil(values.byteLength / 32) * 32);
        values.forEach((value, i) => {
            data.writeFloatLE(value, 4 * i);
        });
        head.writeUInt32LE(tensorTypes.f32, typeAt);
        head.writeBigUInt64LE(BigInt(offset), typeAt + 4);
        offset += data.length;
        parts.push(data);
    }
    return Buffer.concat(parts);
}

/** The same model with one more text among its metadata. */
export function withText(path: string, key: string, value: string): Buffer {
    const { bytes, tensorsAt, tensorsEnd, dataAt } = readGguf(path);
    const text = (content: string): Buffer => {
        const encoded = Buffer.from(content);
        const length = Buffer.alloc(8);
        length.writeBigUInt64LE(BigInt(encoded.length));
        return Buffer.concat([length, encoded]);
    };
    const type = Buffer.alloc(4);
    type.writeUInt32LE(stringType);
    const entry = Buffer.concat([text(key), type, text(value)]);
    const head = Buffer.from(bytes.subarray(0, tensorsAt));
    // Behind magic, version and the number of tensors.
    head.writeBigUInt64LE(head.readBigUInt64LE(16) + 1n, 16);
    const described = Buffer.concat([head, entry, bytes.subarray(tensorsAt, tensorsEnd)]);
    const padding = Buffer.alloc((32 - (described.length % 32)) % 32);
    return Buffer.concat([described, padding, bytes.subarray(dataAt)]);
}
