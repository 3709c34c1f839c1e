import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder that goes when the test process ends. */
export class TemporaryFolder {
    readonly path = mkdtempSync(join(tmpdir(), "llama-steer-"));

    constructor() {
        process.once("exit", () => rmSync(this.path, { recursive: true, force: true }));
    }

    /** Writes a file and returns its path. */
    write(name: string, content: string | Uint8Array): string {
        const path = join(this.path, name);
        writeFileSync(path, content);
        return path;
    }

    /** Makes a folder within and returns its path. */
    folder(name: string): string {
        const path = join(this.path, name);
        mkdirSync(path);
        return path;
    }
}
