#!/usr/bin/env node
// Builds what is stale and runs one benchmark:  npm run bench -- NAME [its options]
//
// A benchmark is bench/NAME.bench.ts, or cpp/bench/NAME_bench.cpp for one that needs no Node. Its table or JSON goes to
// standard output alone.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { buildReleaseTarget } from "./lib/preset.mjs";
import { BuildError, filesUnder, main, root } from "./lib/project.mjs";

/** Where a benchmark keeps the models it makes. */
const cache = join(root, ".cache", "bench");

/** How each benchmark is run, by name. */
const benchmarks = new Map([
    ...named("bench", ".bench.ts").map((name) => [name, runTypeScript]),
    ...named(join("cpp", "bench"), "_bench.cpp").map((name) => [name, runNative]),
]);

await main(async () => {
    const [name, ...rest] = process.argv.slice(2);
    const run = benchmarks.get(name);
    if (run === undefined) {
        throw new BuildError(
            `npm run bench -- NAME, where NAME is one of: ${[...benchmarks.keys()].sort().join(", ")}`,
        );
    }
    process.exitCode = await run(name, rest);
});

function named(folder, ending) {
    return filesUnder(join(root, folder))
        .filter((file) => file.endsWith(ending))
        .map((file) => basename(file, ending));
}

function runTypeScript(name, options) {
    const built = spawnSync(process.execPath, [join(root, "scripts", "build.mjs"), "bench"], {
        cwd: root,
        stdio: ["ignore", 2, 2],
    });
    return built.status === 0 ? start(process.execPath, [join("dist-bench", `${name}.bench.js`), ...options]) : 1;
}

async function runNative(name, options) {
    const target = `${name}_bench`;
    const folder = await buildReleaseTarget(target, process.stderr);
    // The solver's is built by its own room.
    const program = ["cpp", join("cpp", "ridge")].map((room) => join(folder, room, target)).find(existsSync);
    if (program === undefined) {
        throw new BuildError(`${target} was built, but is not in ${folder}.`);
    }
    return start(program, options, { LLAMA_STEER_BENCH_CACHE: cache });
}

function start(program, args, variables = {}) {
    const { status, error } = spawnSync(program, args, {
        cwd: root,
        env: { ...process.env, ...variables },
        stdio: "inherit",
    });
    if (error !== undefined) {
        throw new BuildError(`Cannot run ${program}: ${error.message}`);
    }
    return status ?? 1;
}
