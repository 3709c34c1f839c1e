#!/usr/bin/env node
// Builds llama.cpp's own tools that vector files are tested against, from the pinned sources, into build-upstream/:
//
//   npm run upstream-tools -- [-DNAME=VALUE ...]
//
// llama-results writes the logits of a prompt under a control vector, llama-cvector-generator makes one. Neither is part of
// the package: test/upstream-logits.test.ts and test/vector-file-dialects.test.ts use them where they are.

import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fetchLlamaTools, lock } from "../third_party/fetch.mjs";
import { displayed, main, root } from "./lib/project.mjs";
import { runLogged } from "./lib/run.mjs";

const tools = ["llama-results", "llama-cvector-generator"];
const folder = join(root, "build-upstream");

// As our own build of llama.cpp (third_party/llama.cmake), so that both compute with the same kernels.
const options = [
    ...["CMAKE_BUILD_TYPE=Release", "BUILD_SHARED_LIBS=OFF", "GGML_NATIVE=ON", "GGML_OPENMP=OFF", "GGML_BLAS=OFF"],
    ...["LLAMA_OPENSSL=OFF", "LLAMA_BUILD_COMMON=ON", "LLAMA_BUILD_TOOLS=ON", "LLAMA_USE_PREBUILT_UI=OFF"],
    ...["SERVER", "UI", "TESTS", "EXAMPLES", "APP"].map((part) => `LLAMA_BUILD_${part}=OFF`),
    // Else upstream asks git what commit this is and is told ours.
    ...[`LLAMA_BUILD_COMMIT=${lock.commit.slice(0, 9)}`, "LLAMA_BUILD_NUMBER=0", "GIT_EXE=OFF"],
];

await main(async () => {
    const source = await fetchLlamaTools(join(folder, "source"));
    const build = join(folder, "build");
    const log = join(folder, "build.log");
    const defines = options.map((option) => `-D${option}`);
    await runLogged("cmake", ["-S", source, "-B", build, ...defines, ...process.argv.slice(2)], {
        title: "Configuring llama.cpp's tools",
        log,
    });
    const jobs = String(availableParallelism());
    await runLogged("cmake", ["--build", build, "--config", "Release", "--target", ...tools, "--parallel", jobs], {
        title: "Compiling llama.cpp's tools",
        log,
        append: true,
    });
    console.log(`${tools.join(" and ")} are in ${displayed(join(build, "bin"))}`);
});
