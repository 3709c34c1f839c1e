// Where things are, and what the scripts share.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

export const root = resolve(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** Something the user can mend: printed without a stack. */
export class BuildError extends Error {}

/** Runs a command-line script: prints what went wrong and sets the exit code. */
export async function main(run) {
    try {
        await run();
    } catch (error) {
        console.error(error instanceof BuildError ? `\n${error.message}` : error);
        process.exitCode = 1;
    }
}

/** Every file under `path` (a file or a folder; missing is empty), sorted. */
export function filesUnder(path) {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) {
        return [];
    }
    if (!stat.isDirectory()) {
        return [path];
    }
    return readdirSync(path)
        .sort()
        .flatMap((name) => filesUnder(join(path, name)));
}

/** `path` relative to the package, with forward slashes. */
export function displayed(path) {
    return relative(root, path).split(sep).join("/");
}

/** A digest of settings and of the names, sizes and times of files: equal means that nothing was touched. */
export function fingerprint(settings, paths) {
    const hash = createHash("sha256").update(JSON.stringify(settings));
    for (const file of paths.flatMap(filesUnder)) {
        const { size, mtimeMs } = statSync(file);
        hash.update(`\n${file} ${size} ${mtimeMs}`);
    }
    return hash.digest("hex");
}

export function readJson(file) {
    if (!existsSync(file)) {
        return undefined;
    }
    try {
        return JSON.parse(readFileSync(file, "utf8"));
    } catch {
        return undefined;
    }
}

export function writeJson(file, value) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${JSON.stringify(value, undefined, 2)}\n`);
}
