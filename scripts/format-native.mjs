#!/usr/bin/env node
// Formats C++ with clang-format:  node scripts/format-native.mjs [--check]
//
// Its versions disagree about details, so that only the one named here decides; with another, or none, nothing is
// checked, and that is said.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { BuildError, filesUnder, main, root } from "./lib/project.mjs";
import { firstLine } from "./lib/run.mjs";

const wanted = "14";

await main(() => {
    const check = process.argv.includes("--check");
    const tool = [`clang-format-${wanted}`, "clang-format"].find((name) =>
        firstLine(name, ["--version"])?.includes(`version ${wanted}.`),
    );
    if (tool === undefined) {
        console.log(
            `clang-format: skipped, version ${wanted} is not installed (Debian: apt-get install clang-format-${wanted})`,
        );
        return;
    }
    const files = ["cpp", "binding"]
        .flatMap((name) => filesUnder(join(root, name)))
        .filter((file) => /\.(h|cpp)$/.test(file));
    const args = check ? ["--dry-run", "--Werror"] : ["-i"];
    const { status } = spawnSync(tool, [...args, ...files], { cwd: root, stdio: "inherit" });
    if (status !== 0) {
        throw new BuildError("C++ is not formatted. Run: npm run format");
    }
    console.log(`clang-format: ${files.length} files ${check ? "checked" : "formatted"}`);
});
