import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { inRepository } from "./paths.js";

/** Where llama.cpp's own tools may be: where `npm run upstream-tools` puts them, unless one says otherwise. */
const folder = process.env.LLAMA_STEER_UPSTREAM_TOOLS ?? inRepository("build-upstream/build/bin");

/** The path of one of llama.cpp's tools; undefined, and said in the test's log, where it is not built. */
export function upstreamTool(t: ExecutionContext, name: string): string | undefined {
    const path = [name, `${name}.exe`].map((each) => join(folder, each)).find((each) => existsSync(each));
    if (path === undefined) {
        t.log(`skipped: ${name} is not in ${folder}. Build it with: npm run upstream-tools`);
        t.pass();
    }
    return path;
}

/** Runs a tool to its end. */
export function runTool(path: string, args: readonly string[]): { status: number | null; output: string } {
    const { status, stdout, stderr } = spawnSync(path, args, { encoding: "utf8", timeout: 120_000 });
    return { status, output: `${stdout}${stderr}` };
}
