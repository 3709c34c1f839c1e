import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { failure } from "../parse.js";

/**
 * Writes a file whole or not at all: beside its place, to the disk, and then renamed into it.
 *
 * @throws SteerError FILE_WRITE_FAILED; what was there before stays
 */
export async function writeWhole(path: string, text: string): Promise<void> {
    const beside = join(dirname(path), `.report-${process.pid}-${randomBytes(4).toString("hex")}`);
    try {
        const file = await open(beside, "wx");
        try {
            await file.writeFile(text);
            await file.sync();
        } finally {
            await file.close();
        }
        await rename(beside, path);
    } catch (cause) {
        await rm(beside, { force: true }).catch(() => {});
        throw failure("FILE_WRITE_FAILED", `${path} cannot be written: ${(cause as Error).message}`, cause);
    }
}
