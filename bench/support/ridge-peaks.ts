// How much memory fits take at most: a process of its own, started with the settings of a measurement on its command
// line, prints a number for each (null where the system does not tell).

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { RidgePathOptions } from "llama-steer/ridge";
import { peakMemory } from "./peak-memory.js";
import { ridgeProblem } from "./ridge-features.js";

export type FitSettings = Omit<RidgePathOptions, "features" | "rows" | "width" | "targets">;

interface Request {
    rows: number;
    width: number;
    spectrum: "decaying" | "white";
    fits: FitSettings[];
}

/** Bytes by which memory rose at most during each fit of the shape. */
export function ridgePeaks(request: Request): (number | null)[] {
    const { status, stdout } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), JSON.stringify(request)], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "inherit"],
        // What is freed goes back to the system at once, so that the next fit is seen to take it again.
        env: { ...process.env, MALLOC_MMAP_THRESHOLD_: "65536", MALLOC_TRIM_THRESHOLD_: "0" },
    });
    return status === 0 ? JSON.parse(stdout) : request.fits.map(() => null);
}

async function measure({ rows, width, spectrum, fits }: Request): Promise<(number | null)[]> {
    // Not before: whoever starts the process with other settings for the BLAS has set them by now.
    const { ridgePath } = await import("llama-steer/ridge");
    const solve = (problem: ReturnType<typeof ridgeProblem>, settings: FitSettings) =>
        ridgePath({ ...problem, ...settings });
    // The BLAS keeps buffers from its first calls on.
    const small = ridgeProblem(700, 600, spectrum, 1);
    for (const settings of fits) {
        await solve(small, settings);
    }
    const problem = ridgeProblem(rows, width, spectrum, 7);
    const peaks = [];
    for (const settings of fits) {
        peaks.push((await peakMemory(() => solve(problem, settings))) ?? null);
    }
    return peaks;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    console.log(JSON.stringify(await measure(JSON.parse(process.argv[2] as string))));
}
