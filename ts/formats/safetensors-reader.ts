import { ByteReader, damaged } from "./byte-reader.js";

// safetensors. Source: https://github.com/huggingface/safetensors (format).

/** A tensor whose elements lie at [begin, end) of the file. */
export interface SafetensorsTensor {
    readonly name: string;
    readonly type: string;
    readonly shape: readonly number[];
    readonly begin: number;
    readonly end: number;
}

export interface SafetensorsFile {
    readonly metadata: ReadonlyMap<string, string>;
    readonly tensors: readonly SafetensorsTensor[];
}

/** The longest header that is read or written, in bytes. */
export const longestHeader = 16 * 1024 * 1024;
const mostTensors = 65536;
const elementBytes: Readonly<Record<string, number>> = {
    BOOL: 1,
    U8: 1,
    I8: 1,
    U16: 2,
    I16: 2,
    F16: 2,
    BF16: 2,
    U32: 4,
    I32: 4,
    F32: 4,
    U64: 8,
    I64: 8,
    F64: 8,
};

/** Reads the header of a safetensors file; what its tensors hold is not looked at. @throws SteerError DATA_DAMAGED */
export function readSafetensors(bytes: Uint8Array, file: string): SafetensorsFile {
    const reader = new ByteReader(bytes, file);
    const length = reader.u64("the length of the header");
    if (length > longestHeader || length > reader.remaining) {
        reader.fail(`the header is said to have ${length} bytes, more than there are`, 0);
    }
    const begin = reader.skip(length, "the header");
    const header = parseHeader(reader.textAt(begin, length, "the header"), file);
    const { __metadata__: metadata = {}, ...described } = header;
    const dataAt = begin + length;
    const names = Object.keys(described);
    if (names.length > mostTensors) {
        throw damaged(file, `the header describes ${names.length} tensors, more than any vector has`);
    }
    const tensors = names.map((name) => readTensor(name, described[name], dataAt, file));
    refuseGaps(tensors, dataAt, bytes.length, file);
    return { metadata: readMetadata(metadata, file), tensors };
}

function parseHeader(text: string, file: string): Record<string, unknown> {
    let header: unknown;
    try {
        header = JSON.parse(text);
    } catch (cause) {
        throw damaged(file, "the header is no JSON", { cause });
    }
    if (!isObject(header)) {
        throw damaged(file, "the header is no JSON object");
    }
    // JSON.parse keeps the last of two equal keys. Outside of texts, every key has one colon.
    if (countColons(text) !== countKeys(header)) {
        throw damaged(file, "the header holds a key twice");
    }
    return header;
}

/** Of JSON, outside of its texts. */
function countColons(text: string): number {
    let colons = 0;
    let inText = false;
    for (let i = 0; i < text.length; i++) {
        const letter = text[i];
        if (letter === '"') {
            inText = !inText;
        } else if (inText && letter === "\\") {
            i++;
        } else if (!inText && letter === ":") {
            colons++;
        }
    }
    return colons;
}

/** Of an object and the objects in it. What is nested deeper than headers are is not counted, and so refused. */
function countKeys(value: unknown, depth = 0): number {
    if (typeof value !== "object" || value === null || depth > 3) {
        return 0;
    }
    const own = Array.isArray(value) ? 0 : Object.keys(value).length;
    return Object.values(value).reduce((total, each) => total + countKeys(each, depth + 1), own);
}

function isObject(value: unknown): value is Record<string, unknown> {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readMetadata(metadata: unknown, file: string): Map<string, string> {
    if (!isObject(metadata) || !Object.values(metadata).every((value) => typeof value === "string")) {
        throw damaged(file, "__metadata__ must hold texts");
    }
    return new Map(Object.entries(metadata as Record<string, string>));
}

function readTensor(name: string, described: unknown, dataAt: number, file: string): SafetensorsTensor {
    const { dtype, shape, data_offsets: offsets } = isObject(described) ? described : {};
    const size = typeof dtype === "string" && Object.hasOwn(elementBytes, dtype) ? elementBytes[dtype] : undefined;
    if (size === undefined || !isWholeNumbers(shape) || !isWholeNumbers(offsets) || offsets.length !== 2) {
        throw damaged(file, `the tensor ${JSON.stringify(name)} must have dtype, shape and data_offsets`);
    }
    const [begin, end] = offsets as [number, number];
    const bytes = shape.reduce((product, each) => product * each, size);
    if (begin > end || end - begin !== bytes) {
        throw damaged(file, `${name} lies at ${begin} to ${end}, and [${shape}] of ${dtype} takes ${bytes} bytes`);
    }
    return { name, type: dtype as string, shape, begin: dataAt + begin, end: dataAt + end };
}

function isWholeNumbers(value: unknown): value is number[] {
    return Array.isArray(value) && value.length <= 8 && value.every((each) => Number.isSafeInteger(each) && each >= 0);
}

/** Tensors must lie one behind the other and fill the file. */
function refuseGaps(tensors: readonly SafetensorsTensor[], dataAt: number, size: number, file: string): void {
    const sorted = [...tensors].sort((a, b) => a.begin - b.begin || a.end - b.end);
    let expected = dataAt;
    for (const { name, begin, end } of sorted) {
        if (begin !== expected) {
            throw damaged(file, `${name} begins at byte ${begin}; expected ${expected}, behind the tensor before it`);
        }
        expected = end;
    }
    if (expected !== size) {
        throw damaged(file, `the tensors end at byte ${expected}, and the file at ${size}`);
    }
}
