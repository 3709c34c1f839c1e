import { ByteReader } from "./byte-reader.js";
import type { ElementType } from "./tensor-elements.js";
import { elementSizes } from "./tensor-elements.js";

// GGUF, versions 2 and 3, little-endian. Source: ggml/docs/gguf.md of llama.cpp.

/** The numbers of GGUF's value types. */
export const ggufTypes = { u32: 4, i32: 5, f32: 6, text: 8, array: 9, u64: 10, f64: 12 } as const;

/** Where a value lies, and how much of it there is: bytes of a text, elements of an array. */
export interface GgufValue {
    readonly type: number;
    /** Of an array. */
    readonly elementType: number;
    readonly at: number;
    readonly count: number;
}

/** A tensor whose elements lie at [begin, end) of the file. */
export interface GgufTensor {
    readonly name: string;
    readonly shape: readonly number[];
    readonly type: ElementType;
    readonly begin: number;
    readonly end: number;
}

const magic = "GGUF";
/** Bytes of the types of a fixed size; bool is 7, and the 64-bit ones come last. */
const fixedSizes: Readonly<Record<number, number>> = {
    0: 1,
    1: 1,
    2: 2,
    3: 2,
    4: 4,
    5: 4,
    6: 4,
    7: 1,
    10: 8,
    11: 8,
    12: 8,
};
const tensorTypes: Readonly<Record<number, ElementType>> = { 0: "F32", 1: "F16", 30: "BF16" };
const defaultAlignment = 32;
/** More than any file about a model has, and few enough to list. */
const mostEntries = 65536;
const longestKey = 65535;
/** Bytes of the shortest description of a value and of a tensor: counts beyond what the file can hold are no counts. */
const shortestValue = 13;
const shortestTensor = 24;

/** Whether the bytes begin as a GGUF file does. */
export function isGguf(bytes: Uint8Array): boolean {
    return [...magic].every((letter, i) => bytes[i] === letter.charCodeAt(0));
}

/** general.architecture in the beginning of a GGUF file; undefined where it is no such file, or does not say it there. */
export function architectureOf(beginning: Uint8Array): string | undefined {
    const reader = new ByteReader(beginning, "");
    reader.position = magic.length + 4 + 8 + 8;
    try {
        for (;;) {
            const key = reader.text("a key", longestKey);
            const value = readValue(reader, key);
            if (key === "general.architecture" && value.type === ggufTypes.text) {
                return isGguf(beginning) ? reader.textAt(value.at, value.count, key) : undefined;
            }
        }
    } catch {
        return undefined;
    }
}

/** What a GGUF file says of itself; arrays and texts are decoded when they are asked for. */
export class GgufValues {
    readonly #reader: ByteReader;
    readonly #values = new Map<string, GgufValue>();
    readonly tensorCount: number;

    /**
     * Reads the values, up to where the tensors are described.
     *
     * @throws SteerError DATA_DAMAGED
     */
    constructor(reader: ByteReader) {
        this.#reader = reader;
        reader.position = magic.length;
        const version = reader.u32("the version");
        if (version !== 2 && version !== 3) {
            const swapped = version !== 0 && (version & 0xffff) === 0;
            reader.fail(`GGUF version ${version}${swapped ? " (big-endian)" : ""}; expected 2 or 3, little-endian`, 4);
        }
        this.tensorCount = readCount(reader, "tensors", shortestTensor);
        const valueCount = readCount(reader, "values", shortestValue);
        for (let i = 0; i < valueCount; i++) {
            const at = reader.position;
            const key = reader.text("a key", longestKey);
            if (this.#values.has(key)) {
                reader.fail(`the key ${JSON.stringify(key)} is there a second time`, at);
            }
            this.#values.set(key, readValue(reader, key));
        }
    }

    keys(): string[] {
        return [...this.#values.keys()];
    }

    /** The number of a value's type; undefined where the key is absent. */
    typeOf(key: string): number | undefined {
        return this.#values.get(key)?.type;
    }

    /** A text; undefined where the key is absent. @throws SteerError DATA_DAMAGED where it is something else */
    text(key: string): string | undefined {
        const value = this.#values.get(key);
        if (value !== undefined && value.type !== ggufTypes.text) {
            this.#reader.fail(`${key} is of type ${value.type}; expected a text`, value.at);
        }
        return value && this.#reader.textAt(value.at, value.count, key);
    }

    /** A number of any type; undefined where the key is absent. @throws SteerError DATA_DAMAGED where it is none */
    number(key: string): number | undefined {
        const value = this.#values.get(key);
        return value && numberAt(this.#reader, value, key);
    }

    /** An array of float32; undefined where the key is absent. @throws SteerError DATA_DAMAGED where it is none */
    floats(key: string): Float32Array | undefined {
        const value = this.#values.get(key);
        if (value === undefined) {
            return undefined;
        }
        if (value.type !== ggufTypes.array || value.elementType !== ggufTypes.f32) {
            this.#reader.fail(`${key} is something else; expected an array of float32`, value.at);
        }
        const view = this.#reader.viewAt(value.at, 4 * value.count);
        return Float32Array.from({ length: value.count }, (_, i) => view.getFloat32(4 * i, true));
    }

    /** The tensors that are described where the values end. @throws SteerError DATA_DAMAGED */
    tensors(): GgufTensor[] {
        const reader = this.#reader;
        const alignment = this.#alignment();
        const described = Array.from({ length: this.tensorCount }, () => readDescription(reader));
        const dataAt = Math.ceil(reader.position / alignment) * alignment;
        const names = new Set<string>();
        const tensors = described.map(({ name, shape, type, offset, bytes, at }): GgufTensor => {
            if (names.has(name)) {
                reader.fail(`the tensor ${JSON.stringify(name)} is there a second time`, at);
            }
            names.add(name);
            const begin = dataAt + offset;
            if (offset % alignment !== 0 || begin + bytes > reader.bytes.length) {
                reader.fail(
                    `${name} lies at ${offset} of the data; expected a multiple of ${alignment} in the file`,
                    at,
                );
            }
            return { name, shape, type, begin, end: begin + bytes };
        });
        refuseOverlaps(reader, tensors);
        return tensors;
    }

    #alignment(): number {
        const alignment = this.number("general.alignment") ?? defaultAlignment;
        const isPower = Number.isInteger(alignment) && alignment >= 1 && Number.isInteger(Math.log2(alignment));
        return isPower && alignment <= 65536
            ? alignment
            : this.#reader.fail(`general.alignment is ${alignment}; expected a power of two`);
    }
}

function readCount(reader: ByteReader, what: string, shortest: number): number {
    const at = reader.position;
    const count = reader.u64(`the number of ${what}`);
    if (count > mostEntries || count * shortest > reader.remaining) {
        reader.fail(`the file says that it holds ${count} ${what}, more than it can`, at);
    }
    return count;
}

function readValue(reader: ByteReader, key: string): GgufValue {
    const type = reader.u32(`the type of ${key}`);
    if (type === ggufTypes.text) {
        const count = reader.u64(`the length of ${key}`);
        return { type, elementType: type, at: reader.skip(count, key), count };
    }
    if (type !== ggufTypes.array) {
        return { type, elementType: type, at: reader.skip(sizeOf(reader, type, key), key), count: 1 };
    }
    const elementType = reader.u32(`the type of the elements of ${key}`);
    const count = reader.u64(`the number of elements of ${key}`);
    const at = reader.position;
    if (elementType === ggufTypes.text) {
        // Every text takes 8 bytes at least, so the loop ends with the file at the latest.
        for (let i = 0; i < count; i++) {
            reader.skip(reader.u64(`the length of a text of ${key}`), key);
        }
    } else {
        reader.skip(count * sizeOf(reader, elementType, key), key);
    }
    return { type, elementType, at, count };
}

function sizeOf(reader: ByteReader, type: number, key: string): number {
    return fixedSizes[type] ?? reader.fail(`${key} is of type ${type}, which GGUF does not have here`);
}

function numberAt(reader: ByteReader, value: GgufValue, key: string): number {
    const view = reader.viewAt(value.at, fixedSizes[value.type] ?? 0);
    const readers: Readonly<Record<number, () => number | bigint>> = {
        0: () => view.getUint8(0),
        1: () => view.getInt8(0),
        2: () => view.getUint16(0, true),
        3: () => view.getInt16(0, true),
        4: () => view.getUint32(0, true),
        5: () => view.getInt32(0, true),
        6: () => view.getFloat32(0, true),
        10: () => view.getBigUint64(0, true),
        11: () => view.getBigInt64(0, true),
        12: () => view.getFloat64(0, true),
    };
    const number =
        readers[value.type]?.() ?? reader.fail(`${key} is of type ${value.type}; expected a number`, value.at);
    if (typeof number === "bigint" && !Number.isSafeInteger(Number(number))) {
        reader.fail(`${key} is ${number}, which is too large`, value.at);
    }
    return Number(number);
}

function readDescription(
    reader: ByteReader,
): Omit<GgufTensor, "begin" | "end"> & { offset: number; bytes: number; at: number } {
    const at = reader.position;
    const name = reader.text("the name of a tensor", longestKey);
    const dimensions = reader.u32(`the dimensions of ${name}`);
    if (dimensions < 1 || dimensions > 4) {
        reader.fail(`${name} has ${dimensions} dimensions; expected 1 to 4`, at);
    }
    const shape = Array.from({ length: dimensions }, () => reader.u64(`a dimension of ${name}`));
    const number = reader.u32(`the type of ${name}`);
    const type = tensorTypes[number] ?? reader.fail(`${name} is of type ${number}; expected F32, F16 or BF16`, at);
    const offset = reader.u64(`the place of ${name}`);
    const bytes = shape.reduce((product, each) => product * each, elementSizes[type]);
    if (bytes === 0 || bytes > reader.bytes.length) {
        reader.fail(`${name} is [${shape}], which the file cannot hold`, at);
    }
    return { name, shape, type, offset, bytes, at };
}

/** Two tensors that share bytes are no two tensors, and could make much of a small file. */
function refuseOverlaps(reader: ByteReader, tensors: readonly GgufTensor[]): void {
    const sorted = [...tensors].sort((a, b) => a.begin - b.begin);
    sorted.forEach((tensor, i) => {
        const before = sorted[i - 1];
        if (before !== undefined && tensor.begin < before.end) {
            reader.fail(`${tensor.name} and ${before.name} lie in the same place`, tensor.begin);
        }
    });
}
