import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { failure } from "./parse.js";

const wholeBytes = 16 * 1024 * 1024;
const blocks = 64;
const blockBytes = 64 * 1024;

/**
 * A name for what something was made from: 32 hexadecimal digits, the same for the same parts on every machine. Typed
 * arrays count by their bytes, the properties of objects in any order.
 */
export function contentKey(...parts: readonly unknown[]): string {
    const hash = createHash("sha256");
    for (const part of parts) {
        const bytes = ArrayBuffer.isView(part)
            ? new Uint8Array(part.buffer, part.byteOffset, part.byteLength)
            : Buffer.from(JSON.stringify(part, sorted) ?? "undefined");
        // Lengths first: no two lists of parts make the same bytes.
        hash.update(`${bytes.length}:`).update(bytes);
    }
    return hash.digest("hex").slice(0, 32);
}

function sorted(_: string, value: unknown): unknown {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
        return value;
    }
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Tells the weights of one model file from those of others: by all bytes of a small file, by 64 blocks spread over a
 * large one, which another training changes everywhere.
 *
 * @throws SteerError FILE_NOT_FOUND, FILE_UNREADABLE
 */
export async function fileFingerprint(path: string): Promise<string> {
    let file: FileHandle | undefined;
    try {
        file = await open(path, "r");
        const { size } = await file.stat();
        const hash = createHash("sha256").update(`${size}:`);
        const [count, length] = size <= wholeBytes ? [1, size] : [blocks, blockBytes];
        const buffer = Buffer.alloc(length);
        for (let i = 0; i < count; i++) {
            const at = count === 1 ? 0 : Math.floor((i * (size - length)) / (count - 1));
            const { bytesRead } = await file.read(buffer, 0, length, at);
            hash.update(buffer.subarray(0, bytesRead));
        }
        return hash.digest("hex").slice(0, 32);
    } catch (cause) {
        const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
        throw failure(missing ? "FILE_NOT_FOUND" : "FILE_UNREADABLE", `${path} cannot be read: ${cause}`, cause);
    } finally {
        await file?.close();
    }
}
