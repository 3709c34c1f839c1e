import { SteerError } from "../steer-error.js";

/**
 * Reads numbers and texts (little-endian) one after the other from a file's bytes, of which nothing is believed: whatever
 * does not fit is DATA_DAMAGED, with the place and what was expected there.
 */
export class ByteReader {
    readonly bytes: Uint8Array;
    /** The file's name, for messages. */
    readonly file: string;
    readonly #view: DataView;
    readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

    /** Where the next thing is read. */
    position = 0;

    constructor(bytes: Uint8Array, file: string) {
        this.bytes = bytes;
        this.file = file;
        this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }

    /** Bytes left. */
    get remaining(): number {
        return this.bytes.length - this.position;
    }

    /** @throws SteerError DATA_DAMAGED, always */
    fail(problem: string, at = this.position): never {
        throw damaged(this.file, `at byte ${at}: ${problem}`);
    }

    /** Goes on behind `count` bytes and returns where they begin. */
    skip(count: number, what: string): number {
        if (count > this.remaining) {
            this.fail(`expected ${what} of ${count} bytes, and ${this.remaining} are left`);
        }
        this.position += count;
        return this.position - count;
    }

    u32(what: string): number {
        return this.#view.getUint32(this.skip(4, what), true);
    }

    /** An unsigned number of 64 bits that is to count or to point at something in memory. */
    u64(what: string): number {
        const at = this.skip(8, what);
        const value = this.#view.getBigUint64(at, true);
        return value <= Number.MAX_SAFE_INTEGER
            ? Number(value)
            : this.fail(`${what} is ${value}, more than any file has`, at);
    }

    /** A text with its length before it. */
    text(what: string, longest: number): string {
        const at = this.position;
        const length = this.u64(`the length of ${what}`);
        if (length > longest) {
            this.fail(`${what} has ${length} bytes; expected at most ${longest}`, at);
        }
        return this.textAt(this.skip(length, what), length, what);
    }

    textAt(begin: number, length: number, what: string): string {
        try {
            return this.#decoder.decode(this.bytes.subarray(begin, begin + length));
        } catch {
            return this.fail(`${what} is no UTF-8`, begin);
        }
    }

    /** The bytes from `begin` on, as numbers of any type. */
    viewAt(begin: number, length: number): DataView {
        return new DataView(this.bytes.buffer, this.bytes.byteOffset + begin, length);
    }
}

/** The error of a file that is not what it must be. */
export function damaged(file: string, problem: string, options?: ErrorOptions): SteerError {
    return new SteerError("DATA_DAMAGED", `${file}: ${problem}`, options);
}
