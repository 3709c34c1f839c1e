import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const rivalVersion = "3.22.1";

/**
 * Installs node-llama-cpp, with its prebuilt for this machine's CPU alone, beside the other things that benchmarks make.
 *
 * @returns its entry, or why there is none
 */
export function installRival(): { entry: string } | { missing: string } {
    const folder = fileURLToPath(new URL("../../.cache/bench/node-llama-cpp/", import.meta.url));
    const entry = join(folder, "node_modules", "node-llama-cpp", "dist", "index.js");
    if (existsSync(entry)) {
        return { entry };
    }
    if (process.platform !== "linux" || process.arch !== "x64") {
        return { missing: "its prebuilt is installed for linux-x64 only" };
    }
    mkdirSync(folder, { recursive: true });
    console.error(`Installing node-llama-cpp ${rivalVersion} for the comparison ...`);
    // Its other prebuilts are optional dependencies of some 700 MB.
    const packages = [`node-llama-cpp@${rivalVersion}`, `@node-llama-cpp/linux-x64@${rivalVersion}`];
    const options = ["--prefix", folder, "--omit", "optional", "--ignore-scripts", "--no-audit", "--no-fund"];
    const { status } = spawnSync("npm", ["install", ...options, ...packages], { stdio: ["ignore", 2, 2] });
    return status === 0 && existsSync(entry) ? { entry } : { missing: `npm install ended with ${status}` };
}
