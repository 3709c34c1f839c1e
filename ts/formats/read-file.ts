import { open, stat } from "node:fs/promises";
import { SteerError } from "../steer-error.js";

/** Enough of a file to tell what it is. */
const beginning = 1024 * 1024;

/**
 * A file's bytes, all of them or, where there are more than `most`, those of its beginning; and the size of the whole.
 *
 * @throws SteerError FILE_NOT_FOUND, FILE_UNREADABLE
 */
export async function readFileUpTo(path: string, most: number): Promise<{ bytes: Uint8Array; size: number }> {
    try {
        // Opening a pipe would wait for a writer.
        if (!(await stat(path)).isFile()) {
            throw new SteerError("FILE_UNREADABLE", `${path} is no file`);
        }
        const file = await open(path);
        try {
            const { size } = await file.stat();
            const bytes = Buffer.alloc(size > most ? Math.min(size, beginning) : size);
            let filled = 0;
            for (let got = -1; got !== 0 && filled < bytes.length; filled += got) {
                got = (await file.read(bytes, filled, bytes.length - filled, filled)).bytesRead;
            }
            return { bytes: bytes.subarray(0, filled), size };
        } finally {
            await file.close();
        }
    } catch (cause) {
        throw cause instanceof SteerError ? cause : readError(path, cause as NodeJS.ErrnoException);
    }
}

function readError(path: string, cause: NodeJS.ErrnoException): SteerError {
    const absent = cause.code === "ENOENT" || cause.code === "ENOTDIR";
    return absent
        ? new SteerError("FILE_NOT_FOUND", `there is no file ${path}`, { cause })
        : new SteerError("FILE_UNREADABLE", `cannot read ${path}: ${cause.message}`, { cause });
}
