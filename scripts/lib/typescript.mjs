// Compiles a TypeScript project into its output folder when something it reads was touched.

import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { BuildError, fingerprint, manifest, readJson, root, writeJson } from "./project.mjs";

const shared = ["package.json", "tsconfig.base.json"];

/** Projects by name: their configuration, what they read, where they write. */
export const projects = {
    package: { config: "tsconfig.json", reads: ["ts"], out: "dist" },
    test: { config: "test/tsconfig.json", reads: ["test", "dist"], out: "dist-test" },
    examples: { config: "tsconfig.examples.json", reads: ["examples", "dist"], out: "dist-examples" },
    bench: { config: "tsconfig.bench.json", reads: ["bench", "dist"], out: "dist-bench" },
};

export function buildTypeScript(name) {
    const { config, reads, out } = projects[name];
    if (!existsSync(join(root, reads[0]))) {
        return;
    }
    const compiler = findCompiler();
    const stampFile = join(root, ".cache", `${name}.json`);
    const inputs = [...shared, config, ...reads].map((path) => join(root, path));
    const stamp = fingerprint({ compiler }, inputs);
    if (readJson(stampFile)?.stamp === stamp && existsSync(join(root, out))) {
        return;
    }
    const started = Date.now();
    // What came from a source that is gone must go too.
    rmSync(join(root, out), { recursive: true, force: true });
    const { status } = spawnSync(process.execPath, [compiler, "-p", config], { cwd: root, stdio: "inherit" });
    if (status !== 0) {
        throw new BuildError(`TypeScript: ${config} did not compile.`);
    }
    if (name === "package") {
        makeExecutable();
    }
    writeJson(stampFile, { stamp });
    console.log(`Compiling ${out} ... ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

/** Commands run from the checkout as they do when npm has installed them. */
function makeExecutable() {
    for (const path of Object.values(manifest.bin)) {
        if (path.startsWith(`${projects.package.out}/`)) {
            chmodSync(join(root, path), 0o755);
        }
    }
}

/** Path of tsc. */
export function findCompiler() {
    const require = createRequire(join(root, "package.json"));
    try {
        const found = require.resolve("typescript/package.json");
        return join(dirname(found), JSON.parse(readFileSync(found, "utf8")).bin.tsc);
    } catch {
        throw new BuildError("TypeScript is not installed. Run: npm ci");
    }
}
