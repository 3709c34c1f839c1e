// Configures and compiles the addon with cmake-js, and only what is stale.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fetchLlama } from "../../third_party/fetch.mjs";
import { BuildError, displayed, fingerprint, manifest, readJson, root, writeJson } from "./project.mjs";
import { available, firstLine, runLogged } from "./run.mjs";

const minimumCmake = [3, 21];
const inputs = [
    "CMakeLists.txt",
    "cpp",
    "binding",
    "third_party/llama.lock.json",
    "third_party/llama.cmake",
    "third_party/addon.map",
];
const untouchedByBuild = ["cpp/test", "cpp/bench", "cpp/synthetic"];

/**
 * Builds the addon.
 * @param {object} options
 * @param {string} [options.out] build folder; the addon is `<out>/Release/llama_steer.node` (`Debug` with `debug`)
 * @param {boolean} [options.debug]
 * @param {string[]} [options.defines] `NAME=VALUE` for CMake. None given: those of the build that is there.
 * @param {number} [options.jobs] compilers at once
 * @returns {Promise<string>} the addon's path
 */
export async function buildNative({
    out = join(root, "build"),
    debug,
    defines = [],
    jobs = availableParallelism(),
} = {}) {
    const stampFile = join(out, "llama-steer-stamp.json");
    const before = readJson(stampFile);
    if (defines.length === 0 && debug === undefined && before !== undefined) {
        ({ defines, debug } = before);
    }
    const kind = debug ? "Debug" : "Release";
    const addon = join(out, kind, "llama_steer.node");

    const llama = await fetchLlama();
    const tools = toolbox();
    const settings = {
        kind,
        defines,
        llama: [llama.directory, llama.commit],
        headers: tools.nodeAddonApi,
        cmakeJs: tools.cmakeJs,
        compilers: [process.env.CC, process.env.CXX],
    };
    const sources = fingerprint(settings, inputPaths());
    // Of a checkout of one's own nothing is known: the build system looks.
    if (llama.commit !== undefined && before?.sources === sources && existsSync(addon)) {
        return addon;
    }

    requireTools();
    const configuration = fingerprint(settings, []);
    if (before?.configuration !== configuration || !existsSync(join(out, "CMakeCache.txt"))) {
        await configure({ out, kind, defines, llama, tools });
    }
    if (defines.length > 0) {
        console.log(`Options: ${defines.join(" ")}`);
    }
    await runLogged(
        "cmake",
        ["--build", out, "--config", kind, "--target", "llama_steer", "--parallel", String(jobs)],
        {
            title: `Compiling ${displayed(addon)}`,
            log: join(out, "build.log"),
        },
    );
    // The loader takes Release before Debug: leave only what was asked for.
    rmSync(join(out, debug ? "Release" : "Debug", "llama_steer.node"), { force: true });
    writeJson(stampFile, { defines, debug: debug === true, configuration, sources });
    return addon;
}

function inputPaths() {
    const skipped = new Set(untouchedByBuild.map((path) => join(root, path)));
    return inputs.flatMap((path) => {
        const full = join(root, path);
        return path === "cpp"
            ? readdirSync(full)
                  .map((name) => join(full, name))
                  .filter((entry) => !skipped.has(entry))
            : [full];
    });
}

async function configure({ out, kind, defines, llama, tools }) {
    const args = [
        tools.cmakeJs,
        "configure",
        ...["--directory", root],
        ...["--out", out],
        ...["--config", kind],
        `--CDLLAMA_CPP_DIR=${llama.directory}`,
        `--CDLLAMA_STEER_NODE_ADDON_API=${tools.nodeAddonApi}`,
        ...defines.map((define) => `--CD${define}`),
    ];
    const cached = join(out, "CMakeCache.txt");
    // Options of an earlier configuration must not linger, nor another generator's or another place's files.
    rmSync(cached, { force: true });
    rmSync(join(out, "CMakeFiles"), { recursive: true, force: true });
    await runLogged(process.execPath, args, { title: "Configuring", log: join(out, "configure.log") });
}

/** cmake-js and node-addon-api: our development dependencies, or fetched where the package was installed by a user. */
function toolbox() {
    const own = findTools(join(root, "package.json"));
    if (own !== undefined) {
        return own;
    }
    const folder = join(root, ".cache", "build-tools");
    const there = findTools(join(folder, "package.json"));
    if (there !== undefined) {
        return there;
    }
    const wanted = Object.entries(manifest.buildTools).map(([name, range]) => `${name}@${range}`);
    console.log(`Installing build tools: ${wanted.join(", ")}`);
    mkdirSync(folder, { recursive: true });
    writeJson(join(folder, "package.json"), { private: true });
    const windows = process.platform === "win32";
    const { status, stderr, error } = spawnSync(
        windows ? "npm.cmd" : "npm",
        ["install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", ...wanted],
        { cwd: folder, encoding: "utf8", shell: windows },
    );
    const found = findTools(join(folder, "package.json"));
    if (status !== 0 || found === undefined) {
        throw new BuildError(`Could not install ${wanted.join(", ")}.\n${error?.message ?? stderr}`);
    }
    return found;
}

function findTools(from) {
    const require = createRequire(from);
    try {
        const [cmakeJs, nodeAddonApi] = Object.entries(manifest.buildTools).map(([name, range]) => {
            const file = require.resolve(`${name}/package.json`);
            const found = JSON.parse(readFileSync(file, "utf8"));
            // One that another package brought may be of another age.
            if (major(found.version) !== major(range)) {
                throw new Error(`${name} ${found.version} is not ${range}`);
            }
            return { folder: dirname(file), bin: found.bin };
        });
        return { cmakeJs: join(cmakeJs.folder, cmakeJs.bin["cmake-js"]), nodeAddonApi: nodeAddonApi.folder };
    } catch {
        return undefined;
    }
}

function major(version) {
    return Number(/\d+/.exec(version)?.[0]);
}

function requireTools() {
    const missing = [];
    const version = firstLine("cmake", ["--version"]);
    if (version === undefined) {
        missing.push(["CMake", "cmake"]);
    }
    if (process.platform !== "win32") {
        const compilers = process.env.CXX ? [process.env.CXX] : ["c++", "g++", "clang++"];
        if (!compilers.some((name) => available(name.split(" ")[0]))) {
            missing.push(["a C++17 compiler", "g++"]);
        }
        if (!available("make") && !available("ninja")) {
            missing.push(["make or ninja", "make"]);
        }
    }
    if (missing.length > 0) {
        const names = missing.map(([name]) => name).join(", ");
        const packages = missing.map(([, name]) => name).join(" ");
        throw new BuildError(
            `Building llama-steer needs ${names}, not found on PATH.\n` +
                `Debian, Ubuntu: apt-get install ${packages}    (git too, where it is missing)\n` +
                "macOS: xcode-select --install, and CMake from cmake.org    Windows: Visual Studio with C++, which brings CMake",
        );
    }
    const [major, minor] = (/(\d+)\.(\d+)/.exec(version) ?? []).slice(1).map(Number);
    if (major < minimumCmake[0] || (major === minimumCmake[0] && minor < minimumCmake[1])) {
        throw new BuildError(
            `CMake ${major}.${minor} is too old: llama-steer needs ${minimumCmake.join(".")} or newer.`,
        );
    }
}
