import { readFile } from "node:fs/promises";
import { basename, extname } from "node:path";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { parse as parseCsv } from "csv-parse/sync";
import { parquetReadObjects } from "hyparquet";
import { SteerError } from "../index.js";
import { failure } from "./parse.js";

/** One row of a file, and where it stands, for messages. */
export interface TableRow {
    values: Record<string, unknown>;
    place: string;
}

/**
 * The rows of a file, by its ending: JSON Lines (`.jsonl`, `.ndjson`, `.json`), a JSON array or what Hugging Face's
 * dataset server sends (`.json`), `.csv`, `.parquet`.
 *
 * @throws SteerError FILE_NOT_FOUND, FILE_UNREADABLE, INVALID_ARGUMENT for another ending, DATA_DAMAGED with the line
 */
export async function tableRows(path: string): Promise<TableRow[]> {
    const reader = readers[extname(path).toLowerCase()];
    if (reader === undefined) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `${path}: prompts are read from files that end in ${Object.keys(readers).join(", ")}`,
        );
    }
    return reader(await bytesOf(path), basename(path));
}

type Reader = (bytes: Uint8Array, name: string) => TableRow[] | Promise<TableRow[]>;

const readers: Record<string, Reader> = {
    ".jsonl": (bytes, name) => jsonLines(textOf(bytes, name), name),
    ".ndjson": (bytes, name) => jsonLines(textOf(bytes, name), name),
    ".json": (bytes, name) => jsonRows(textOf(bytes, name), name),
    ".csv": (bytes, name) => csvRows(textOf(bytes, name), name),
    ".parquet": parquetRows,
};

async function bytesOf(path: string): Promise<Uint8Array> {
    try {
        return await readFile(path);
    } catch (cause) {
        const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
        throw failure(missing ? "FILE_NOT_FOUND" : "FILE_UNREADABLE", `${path} cannot be read: ${cause}`, cause);
    }
}

function textOf(bytes: Uint8Array, name: string): string {
    try {
        // Drops a byte order mark, which spreadsheets write.
        return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch (cause) {
        throw failure("DATA_DAMAGED", `${name} is not UTF-8 text: convert it`, cause);
    }
}

function jsonLines(text: string, name: string): TableRow[] {
    return text.split("\n").flatMap((line, i) => {
        if (line.trim() === "") {
            return [];
        }
        const place = `${name}, line ${i + 1}`;
        try {
            return [{ values: objectOf(JSON.parse(line), place), place }];
        } catch (cause) {
            throw cause instanceof SteerError
                ? cause
                : failure("DATA_DAMAGED", `${place} is not JSON: ${(cause as Error).message}`, cause);
        }
    });
}

/** A JSON array, an object with `rows` (each perhaps in a `row`) or `data`; anything else is taken for JSON Lines. */
function jsonRows(text: string, name: string): TableRow[] {
    let whole: unknown;
    try {
        whole = JSON.parse(text);
    } catch (cause) {
        if (text.trimStart().startsWith("[")) {
            throw failure(
                "DATA_DAMAGED",
                `${name} is not JSON: ${(cause as Error).message}${lineOf(cause, text)}`,
                cause,
            );
        }
        return jsonLines(text, name);
    }
    const { rows, data } = (whole ?? {}) as { rows?: unknown; data?: unknown };
    const list = [whole, rows, data].find(Array.isArray) ?? [whole];
    return list.map((each: unknown, i: number) => {
        const place = `${name}, row ${i + 1}`;
        const values = objectOf(each, place);
        return { values: "row" in values && "row_idx" in values ? objectOf(values.row, place) : values, place };
    });
}

/** JavaScript engines name the position of an error, people look for its line. */
function lineOf(error: unknown, text: string): string {
    const position = /position (\d+)/.exec((error as Error).message)?.[1];
    return position === undefined ? "" : `, in line ${text.slice(0, Number(position)).split("\n").length}`;
}

function objectOf(value: unknown, place: string): Record<string, unknown> {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
        throw new SteerError("DATA_DAMAGED", `${place} is no JSON object with a "prompt"`);
    }
    return value as Record<string, unknown>;
}

function csvRows(text: string, name: string): TableRow[] {
    try {
        const records = parseCsv(text, { columns: true, info: true, skip_empty_lines: true }) as unknown as {
            record: Record<string, string>;
            info: { lines: number };
        }[];
        return records.map(({ record, info }) => ({ values: record, place: `${name}, line ${info.lines}` }));
    } catch (cause) {
        throw failure("DATA_DAMAGED", `${name} is not well-formed CSV: ${(cause as Error).message}`, cause);
    }
}

async function parquetRows(bytes: Uint8Array, name: string): Promise<TableRow[]> {
    const file = new Uint8Array(bytes).buffer;
    const compressors = {
        GZIP: (input: Uint8Array) => new Uint8Array(gunzipSync(input)),
        BROTLI: (input: Uint8Array) => new Uint8Array(brotliDecompressSync(input)),
    };
    try {
        const rows = await parquetReadObjects({ file, compressors });
        return rows.map((values, i) => ({ values: plain(values), place: `${name}, row ${i + 1}` }));
    } catch (cause) {
        throw failure("DATA_DAMAGED", `${name} cannot be read as parquet: ${(cause as Error).message}`, cause);
    }
}

/** Parquet's 64-bit integers come as bigint. */
function plain(row: Record<string, unknown>): Record<string, unknown> {
    const entries = Object.entries(row).map(([key, value]) => [key, typeof value === "bigint" ? Number(value) : value]);
    return Object.fromEntries(entries);
}
