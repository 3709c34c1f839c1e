#!/usr/bin/env node
// Writes a GGUF model of random weights; builds the program that does in the release preset where it is stale:
//
//   npm run make-model -- ARCH OUT [--preset NAME] [--layers N ...]     (no arguments: what there is)

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { buildReleaseTarget } from "./lib/preset.mjs";
import { BuildError, main } from "./lib/project.mjs";

const target = "llama_steer_make_model";

await main(async () => {
    const program = join(await buildReleaseTarget(target), "cpp", "synthetic", target);
    const { status, error } = spawnSync(program, process.argv.slice(2), { stdio: "inherit" });
    if (error !== undefined) {
        throw new BuildError(`Cannot run ${program}: ${error.message}`);
    }
    process.exitCode = status ?? 1;
});
