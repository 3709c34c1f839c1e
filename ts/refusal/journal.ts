import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { z } from "zod";
import { SteerError } from "../index.js";
import { failure, issuesOf } from "./parse.js";

const line = z.object({ key: z.string(), value: z.unknown(), end: z.literal(true).optional() });

/**
 * Finished items of a stage, as JSON Lines `{ key, value, end? }`, appended as they come. What is appended together counts
 * together: its last line has `end`, and lines that no `end` follows, which a killed process left, are cut off when the
 * file is opened again. An item that `append` returned for survives the process.
 */
export class Journal<Value> {
    readonly #file: number;
    readonly #path: string;
    readonly #values = new Map<string, Value>();
    #bytes = 0;

    /** @throws SteerError DATA_DAMAGED (with the line), FILE_UNREADABLE, FILE_WRITE_FAILED */
    constructor(path: string, schema: z.ZodType<Value>) {
        this.#path = path;
        try {
            this.#file = openSync(path, "a+");
        } catch (cause) {
            throw failure("FILE_WRITE_FAILED", `${path} cannot be opened: ${cause}`, cause);
        }
        try {
            this.#read(schema);
        } catch (error) {
            closeSync(this.#file);
            throw error;
        }
    }

    #read(schema: z.ZodType<Value>): void {
        const bytes = readFileSync(this.#path);
        let pending: [string, Value][] = [];
        let number = 0;
        for (let begin = 0; begin < bytes.length; ) {
            const end = bytes.indexOf(10, begin);
            if (end < 0) {
                break;
            }
            number++;
            const entry = this.#entry(bytes.toString("utf8", begin, end), number, schema, end + 1 === bytes.length);
            if (entry === undefined) {
                break;
            }
            pending.push([entry.key, entry.value]);
            begin = end + 1;
            if (entry.end) {
                for (const [key, value] of pending) {
                    this.#values.set(key, value);
                }
                pending = [];
                this.#bytes = begin;
            }
        }
        this.#cut();
    }

    /** A line's entry; undefined for a last line that was not written whole. */
    #entry(text: string, number: number, schema: z.ZodType<Value>, isLast: boolean) {
        const place = `${this.#path}, line ${number}`;
        try {
            const { key, value, end } = line.parse(JSON.parse(text));
            return { key, value: schema.parse(value), end: end === true };
        } catch (cause) {
            if (isLast && !(cause instanceof z.ZodError)) {
                return undefined;
            }
            const reason = cause instanceof z.ZodError ? issuesOf(cause) : (cause as Error).message;
            throw failure(
                "DATA_DAMAGED",
                `${place} is damaged (${reason}): remove the line to have its item made again`,
                cause,
            );
        }
    }

    #cut(): void {
        try {
            ftruncateSync(this.#file, this.#bytes);
        } catch (cause) {
            throw failure(
                "FILE_WRITE_FAILED",
                `${this.#path} cannot be cut behind its last whole entry: ${cause}`,
                cause,
            );
        }
    }

    get size(): number {
        return this.#values.size;
    }

    get(key: string): Value | undefined {
        return this.#values.get(key);
    }

    /**
     * Writes items that were finished together: all of them or, where that fails, none.
     *
     * @throws SteerError FILE_WRITE_FAILED; INVALID_ARGUMENT for a key that is there already
     */
    append(entries: readonly (readonly [key: string, value: Value])[]): void {
        const again = entries.find(([key]) => this.#values.has(key));
        if (again !== undefined) {
            throw new SteerError("INVALID_ARGUMENT", `${this.#path} holds an item of the key ${again[0]} already`);
        }
        const lines = entries.map(([key, value], i) =>
            JSON.stringify(i + 1 < entries.length ? { key, value } : { key, value, end: true }),
        );
        const bytes = Buffer.from(lines.map((each) => `${each}\n`).join(""));
        try {
            for (let done = 0; done < bytes.length; ) {
                done += writeSync(this.#file, bytes, done);
            }
        } catch (cause) {
            this.#cut();
            throw failure(
                "FILE_WRITE_FAILED",
                `${this.#path} cannot be written: ${cause}. Make room and start again`,
                cause,
            );
        }
        this.#bytes += bytes.length;
        for (const [key, value] of entries) {
            this.#values.set(key, value);
        }
    }

    /** Brings what was written to the disk itself, and closes the file. */
    close(): void {
        try {
            fsyncSync(this.#file);
        } finally {
            closeSync(this.#file);
        }
    }
}
