import { readdirSync, readFileSync } from "node:fs";
import test from "ava";
import type { SteerErrorCode } from "llama-steer";
import { inRepository } from "./support/paths.js";

const read = (path: string): string => readFileSync(inRepository(path), "utf8");
const importBuilt = (path: string): Promise<unknown> => import(inRepository(path));

/** [code, meaning] of each X(...) of the native table, in order. */
function nativeTable(): [string, string][] {
    const entries = read("cpp/base/error_codes.h").matchAll(/^\s+X\((\w+),\s*"([^"]+)"\)/gm);
    return Array.from(entries, ([, code, meaning]) => [code as string, meaning as string]);
}

const nativeCodes = nativeTable().map(([code]) => code);

test("the native table has codes and one-line meanings", (t) => {
    t.true(nativeCodes.length > 20);
    t.is(new Set(nativeCodes).size, nativeCodes.length);
    t.is(nativeCodes.at(-1), "INTERNAL");
    const written = read("cpp/base/error_codes.h").match(/^\s+X\(/gm)?.length ?? 0;
    t.is(nativeCodes.length, written, "all entries were read");
});

test("the package's list is the native one, in its order", async (t) => {
    const { steerErrorCodes } = (await importBuilt("dist/steer-error.js")) as { steerErrorCodes: SteerErrorCode[] };
    t.deepEqual([...steerErrorCodes], nativeCodes);
});

test("the addon that is loaded was compiled from this table", async (t) => {
    const { native } = (await importBuilt("dist/native.js")) as { native: { errorCodes(): [string, string][] } };
    t.deepEqual(native.errorCodes(), nativeTable());
});

test("docs/errors.md explains every code, and no other", (t) => {
    const rows = read("docs/errors.md")
        .split("\n")
        .filter((line) => line.startsWith("| `"))
        .map((line) => line.split("|").map((cell) => cell.trim()));
    t.deepEqual(
        rows.map((cells) => cells[1]),
        nativeCodes.map((code) => `\`${code}\``),
    );
    for (const [, code, meaning = "", advice = "", ...rest] of rows) {
        t.is(rest.length, 1, `${code} has three cells`);
        t.true(meaning.length > 10 && meaning.endsWith("."), `${code}: meaning`);
        t.true(advice.length > 10 && advice.endsWith("."), `${code}: what to do`);
    }
});

test("every code is thrown somewhere", (t) => {
    const sources = ["cpp/model", "cpp/engine", "cpp/ridge", "cpp/steering", "cpp/storage", "binding", "ts"].flatMap(
        sourcesUnder,
    );
    const text = sources.map(read).join("\n");
    for (const code of nativeCodes) {
        t.regex(text, new RegExp(`error_code::${code}\\b|SteerError\\(\\s*"${code}"|\\? "${code}"`), code);
    }
});

function sourcesUnder(folder: string): string[] {
    const names = readdirSync(inRepository(folder), { recursive: true, encoding: "utf8" });
    return names.filter((name) => /\.(cpp|h|ts)$/.test(name)).map((name) => `${folder}/${name}`);
}
