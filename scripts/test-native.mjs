#!/usr/bin/env node
// Builds the core without Node in one of the presets of CMakePresets.json and runs its tests:
//
//   npm run test:native -- [PRESET ...] [--only TARGET ...]     (default: release)

import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fetchLlama } from "../third_party/fetch.mjs";
import { BuildError, main, root } from "./lib/project.mjs";
import { runLogged } from "./lib/run.mjs";

await main(async () => {
    const { values, positionals } = parseArgs({
        allowPositionals: true,
        options: { only: { type: "string", multiple: true }, jobs: { type: "string" } },
    });
    const jobs = values.jobs ?? String(availableParallelism());
    const { directory } = await fetchLlama();
    const broken = [];
    for (const preset of positionals.length > 0 ? positionals : ["release"]) {
        const folder = join(root, "build-native", preset);
        const log = join(folder, "build.log");
        await runLogged("cmake", ["--preset", preset, `-DLLAMA_CPP_DIR=${directory}`], {
            title: `Configuring ${preset}`,
            log,
        });
        const targets = values.only === undefined ? [] : ["--target", ...values.only];
        await runLogged("cmake", ["--build", folder, "--parallel", jobs, ...targets], {
            title: `Compiling ${preset}`,
            log,
            append: true,
        });
        const chosen = values.only === undefined ? [] : ["-R", `^(${values.only.join("|")})$`];
        // Verbose, for the counters that each test program prints.
        const { status } = spawnSync("ctest", ["--preset", preset, "--verbose", ...chosen], {
            cwd: root,
            stdio: "inherit",
        });
        if (status !== 0) {
            broken.push(preset);
        }
    }
    if (broken.length > 0) {
        throw new BuildError(`Native tests failed in: ${broken.join(", ")}`);
    }
});
