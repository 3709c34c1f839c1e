import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { SteerError } from "../index.js";
import { contentKey } from "./content-key.js";
import { failure } from "./parse.js";

const prefix = "lock.";
const host = contentKey(hostname()).slice(0, 8);

/**
 * Holds a directory for this process. Each holder makes a file of its own, whose name says who it is, and then looks for
 * others: of two that come at the same time at least one sees the other, and no file is ever taken over, so that none
 * can be removed from under a living process. What a killed process left is known by its process being gone.
 */
export class RunLock {
    readonly #path: string;

    /** @throws SteerError FILE_IN_USE where a living process holds it, FILE_WRITE_FAILED */
    constructor(directory: string) {
        const name = `${prefix}${host}.${process.pid}.${startOf(process.pid)}.${randomUUID()}`;
        this.#path = join(directory, name);
        try {
            writeFileSync(this.#path, "", { flag: "wx" });
        } catch (cause) {
            throw failure("FILE_WRITE_FAILED", `${directory} cannot be locked: ${cause}`, cause);
        }
        for (const other of readdirSync(directory).filter((each) => each.startsWith(prefix) && each !== name)) {
            if (!isLeft(other)) {
                this.release();
                throw new SteerError(
                    "FILE_IN_USE",
                    `another run holds ${directory}: wait for its end. If there is none, remove ${other}`,
                );
            }
            rmSync(join(directory, other), { force: true });
        }
    }

    release(): void {
        rmSync(this.#path, { force: true });
    }

    static isLock(name: string): boolean {
        return name.startsWith(prefix);
    }
}

/** Whether the process that made a lock is surely gone. One on another machine cannot be asked. */
function isLeft(name: string): boolean {
    const [, where, pid, start] = name.split(".");
    return where === host && (!isAlive(Number(pid)) || startOf(Number(pid)) !== start);
}

function isAlive(pid: number): boolean {
    try {
        process.kill(pid, 0);
        return true;
    } catch (error) {
        // Another user's process is alive too.
        return (error as NodeJS.ErrnoException).code === "EPERM";
    }
}

/** When a process began, in the kernel's ticks, since process ids are used again; "0" where the system does not tell. */
function startOf(pid: number): string {
    try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        // The name before it may hold spaces and brackets.
        return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "0";
    } catch {
        return "0";
    }
}
