// Builds programs of the core, without Node, in the release preset.

import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fetchLlama } from "../../third_party/fetch.mjs";
import { root } from "./project.mjs";
import { runLogged } from "./run.mjs";

/**
 * Builds one target of the release preset where it is stale; progress goes to `stream`.
 * @returns the folder of the build
 */
export async function buildReleaseTarget(target, stream = process.stdout) {
    const { directory } = await fetchLlama({ log: (line) => stream.write(`${line}\n`) });
    const folder = join(root, "build-native", "release");
    const log = join(folder, `${target}.log`);
    await runLogged("cmake", ["--preset", "release", `-DLLAMA_CPP_DIR=${directory}`], {
        title: "Configuring release",
        log,
        stream,
    });
    const jobs = String(availableParallelism());
    await runLogged("cmake", ["--build", folder, "--config", "Release", "--target", target, "--parallel", jobs], {
        title: `Compiling ${target}`,
        log,
        append: true,
        stream,
    });
    return folder;
}
