import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { SteerError } from "../index.js";
import { Journal } from "./journal.js";
import { failure, parsed } from "./parse.js";
import { RunLock } from "./run-lock.js";

const marker = "run.json";
const format = z.object({ format: z.literal("llama-steer-run"), version: z.literal(1) });

/**
 * Where a run keeps what it has finished, and a later run with the same inputs finds it. Held by one process at a time;
 * one that is killed leaves it ready for the next.
 */
export class RunDirectory {
    readonly path: string;
    readonly #lock: RunLock;
    readonly #journals = new Map<string, Journal<unknown>>();
    #closed = false;

    private constructor(path: string, lock: RunLock) {
        this.path = path;
        this.#lock = lock;
    }

    /**
     * Opens or makes the directory.
     *
     * @throws SteerError FILE_IN_USE where another run holds it, INVALID_ARGUMENT where it holds something else,
     *   DATA_DAMAGED where another version made it, FILE_WRITE_FAILED
     */
    static open(path: string): RunDirectory {
        const directory = resolve(parsed(z.string().min(1), path, "path"));
        try {
            mkdirSync(directory, { recursive: true });
        } catch (cause) {
            throw failure("FILE_WRITE_FAILED", `${directory} cannot be made: ${cause}`, cause);
        }
        refuseOthers(directory);
        const lock = new RunLock(directory);
        try {
            mark(directory);
            return new RunDirectory(directory, lock);
        } catch (error) {
            lock.release();
            throw error;
        }
    }

    /**
     * The finished items of a stage, in the file `NAME.jsonl`; opened once.
     *
     * @internal
     * @throws SteerError DATA_DAMAGED, FILE_WRITE_FAILED, DISPOSED
     */
    journal<Value>(name: string, schema: z.ZodType<Value>): Journal<Value> {
        if (this.#closed) {
            throw new SteerError("DISPOSED", `the run directory ${this.path} was closed`);
        }
        const journal = this.#journals.get(name) ?? new Journal(join(this.path, `${name}.jsonl`), schema);
        this.#journals.set(name, journal as Journal<unknown>);
        return journal as Journal<Value>;
    }

    /** Closes its files and lets others have it. Calling it again does nothing. */
    close(): void {
        if (this.#closed) {
            return;
        }
        this.#closed = true;
        for (const journal of this.#journals.values()) {
            journal.close();
        }
        this.#lock.release();
    }

    [Symbol.dispose](): void {
        this.close();
    }
}

/** Nothing is written among files that are not a run's. */
function refuseOthers(directory: string): void {
    const names = readdirSync(directory);
    const other = names.find((each) => !RunLock.isLock(each) && !each.startsWith(marker));
    if (other !== undefined && !names.includes(marker)) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `${directory} holds something else than a run (${other}): give an empty or a new directory`,
        );
    }
}

function mark(directory: string): void {
    const path = join(directory, marker);
    if (existsSync(path)) {
        try {
            format.parse(JSON.parse(readFileSync(path, "utf8")));
        } catch (cause) {
            throw failure("DATA_DAMAGED", `${path} is not that of a run of this version: give a new directory`, cause);
        }
        return;
    }
    try {
        // Never half there: a name comes with all of its contents.
        writeFileSync(`${path}.new`, `${JSON.stringify({ format: "llama-steer-run", version: 1 })}\n`);
        renameSync(`${path}.new`, path);
    } catch (cause) {
        throw failure("FILE_WRITE_FAILED", `${path} cannot be written: ${cause}`, cause);
    }
}
