#!/usr/bin/env node
// Writes a GGUF model of random weights; builds the program that does in the release preset where it is stale:
//
//   npm run make-model -- ARCH OUT [--preset NAME] [--layers N ...]     (no arguments: what there is)

import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fetchLlama } from "../third_party/fetch.mjs";
import { BuildError, main, root } from "./lib/project.mjs";
import { runLogged } from "./lib/run.mjs";

const target = "llama_steer_make_model";

await main(async () => {
    const { directory } = await fetchLlama();
    const folder = join(root, "build-native", "release");
    const log = join(folder, "make-model.log");
    await runLogged("cmake", ["--preset", "release", `-DLLAMA_CPP_DIR=${directory}`], {
        title: "Configuring release",
        log,
    });
    const jobs = String(availableParallelism());
    await runLogged("cmake", ["--build", folder, "--config", "Release", "--target", target, "--parallel", jobs], {
        title: `Compiling ${target}`,
        log,
        append: true,
    });
    const program = join(folder, "cpp", "synthetic", target);
    const { status, error } = spawnSync(program, process.argv.slice(2), { stdio: "inherit" });
    if (error !== undefined) {
        throw new BuildError(`Cannot run ${program}: ${error.message}`);
    }
    process.exitCode = status ?? 1;
});
