import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { SteerError } from "../steer-error.js";

/**
 * Writes a file whole or not at all: beside its place, to the disk, and then renamed into it. A file that is there is
 * replaced in that one step, and stays as it is where anything fails.
 *
 * @throws SteerError FILE_WRITE_FAILED
 */
export async function writeAtomically(path: string, bytes: Uint8Array): Promise<void> {
    const temporary = join(dirname(path), `.llama-steer-${process.pid}-${randomBytes(4).toString("hex")}`);
    try {
        await writeNew(temporary, bytes);
        await rename(temporary, path);
    } catch (cause) {
        await rm(temporary, { force: true }).catch(() => {});
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new SteerError("FILE_WRITE_FAILED", `cannot write ${path}: ${reason}`, { cause });
    }
}

async function writeNew(path: string, bytes: Uint8Array): Promise<void> {
    const file = await open(path, "wx");
    try {
        await file.writeFile(bytes);
        await file.sync();
    } finally {
        await file.close();
    }
}
