// What users get: the packed tarball, installed in an empty folder. Run with `npm run test:package`, which makes the
// prebuild first. Needs the npm registry; the last test compiles.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
    copyFileSync,
    existsSync,
    mkdirSync,
    mkdtempSync,
    readFileSync,
    realpathSync,
    renameSync,
    rmSync,
    symlinkSync,
    writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..", "..");
const buildCommand = "llama-steer-build";
const compilers = ["cc", "c++", "gcc", "g++", "clang", "clang++", "cmake", "make", "ninja"];

const work = mkdtempSync(join(realpathSync(tmpdir()), "llama-steer-package-"));
const app = join(work, "app");
const installed = join(app, "node_modules", "llama-steer");
const bare = barePath();
let files;

before(() => {
    mkdirSync(app);
    const [packed] = JSON.parse(npm(["pack", "--json", "--pack-destination", work], { cwd: root }));
    files = packed.files.map(({ path }) => path);
    console.log(
        `tarball: ${files.length} files, ${(packed.size / 1e6).toFixed(1)} MB, ${(packed.unpackedSize / 1e6).toFixed(1)} MB unpacked`,
    );
    writeFileSync(join(app, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }));
    npm(["install", "--no-audit", "--no-fund", join(work, packed.filename)], { cwd: app, path: bare });
});

after(() => rmSync(work, { recursive: true, force: true }));

test("the tarball holds what is used, and nothing of the workshop", () => {
    const needed = [
        "dist/index.js",
        "dist/index.d.ts",
        "dist/cli/main.js",
        "CMakeLists.txt",
        "cpp/CMakeLists.txt",
        "third_party/fetch.mjs",
        "scripts/build.mjs",
        "LICENSE",
        "README.md",
    ];
    for (const path of needed) {
        assert.ok(files.includes(path), `${path} is missing`);
    }
    const strange = files.filter((path) =>
        /^(test|models|build|node_modules|third_party\/llama\.cpp|cpp\/(test|bench))\//.test(path),
    );
    assert.deepEqual(strange, []);
    const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
    for (const script of ["preinstall", "install", "postinstall", "prepare"]) {
        assert.equal(manifest.scripts[script], undefined, `no ${script} script`);
    }
    assert.ok(!existsSync(join(installed, "binding.gyp")));
});

test("installs and runs the README's example without a compiler", () => {
    for (const name of compilers) {
        assert.notEqual(
            spawnSync(name, ["--version"], { env: environment(bare) }).error,
            undefined,
            `${name} is not to be found`,
        );
    }
    runExample(bare);
});

test("installs a command that runs, and knows its models without a compiler", () => {
    const path = join(app, "node_modules", ".bin", "llama-steer");
    const manifest = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
    assert.equal(run(path, ["--version"], { cwd: app, path: bare }).trim(), manifest.version);
    const model = join(root, "models", "testbed", "valdoria-chat.gguf");
    const found = JSON.parse(run(path, ["inspect", model, "--json"], { cwd: app, path: bare }));
    assert.equal(found.architecture, "qwen3");
});

test("types of the installed package hold for the README's example", () => {
    compileExample(quickstart());
});

test("without a prebuild the error names the command that builds, and it does", { timeout: 30 * 60 * 1000 }, () => {
    renameSync(join(installed, "prebuilds"), join(work, "prebuilds"));
    const probe =
        'import("llama-steer").then((m) => m.loadModel("x.gguf")).catch((e) => console.log(JSON.stringify([e.code, e.message])))';
    const [code, message] = JSON.parse(node(["--input-type=module", "-e", probe], { path: bare }));
    assert.equal(code, "ADDON_MISSING");
    assert.match(message, new RegExp(`npx ${buildCommand}`));
    npm(["exec", "--no", "--", buildCommand], { cwd: app });
    assert.ok(existsSync(join(installed, "build", "Release", "llama_steer.node")));
    runExample(bare);
});

/** The first code block after `<!-- example: quickstart -->` in the README. */
function quickstart() {
    const readme = readFileSync(join(root, "README.md"), "utf8");
    const match = /<!--\s*example:\s*quickstart\s*-->\s*```(\w+)\n([\s\S]*?)```/.exec(readme);
    assert.ok(match, "README.md has a code block after <!-- example: quickstart -->");
    return { language: match[1], code: match[2] };
}

function runExample(path) {
    const { language, code } = quickstart();
    // Whatever model file the example names, it gets.
    for (const [, name] of code.matchAll(/["'`]([^"'`\n]+\.gguf)["'`]/g)) {
        mkdirSync(dirname(join(app, name)), { recursive: true });
        copyFileSync(
            join(root, "models", "testbed", /judge/.test(name) ? "valdoria-judge.gguf" : "valdoria-chat.gguf"),
            join(app, name),
        );
    }
    if (/^(ts|typescript)$/.test(language)) {
        compileExample({ language, code });
    } else {
        writeFileSync(join(app, "example.js"), code);
    }
    const output = node(["example.js"], { path });
    assert.notEqual(output.trim(), "", "the example prints something");
}

function compileExample({ code }) {
    const require = createRequire(join(root, "package.json"));
    const compiler = join(dirname(require.resolve("typescript/package.json")), "bin", "tsc");
    writeFileSync(join(app, "example.ts"), code);
    const compilerOptions = {
        target: "ES2023",
        lib: ["ES2023", "ESNext.Disposable"],
        module: "NodeNext",
        strict: true,
        types: ["node"],
        typeRoots: [join(root, "node_modules", "@types")],
    };
    writeFileSync(join(app, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["example.ts"] }));
    run(process.execPath, [compiler, "-p", "."], { cwd: app });
}

/** A PATH with node and a shell, and no more. */
function barePath() {
    const folder = join(work, "bin");
    mkdirSync(folder);
    symlinkSync(process.execPath, join(folder, "node"));
    symlinkSync("/bin/sh", join(folder, "sh"));
    return folder;
}

function node(args, { path }) {
    return run(process.execPath, args, { cwd: app, path });
}

function npm(args, { cwd, path }) {
    return run(process.execPath, [npmCli(), ...args], { cwd, path });
}

function npmCli() {
    const own = process.env.npm_execpath;
    if (own?.endsWith(".js") && /npm-cli/.test(own)) {
        return own;
    }
    const found = process.env.PATH.split(delimiter)
        .map((folder) => join(folder, "npm"))
        .find(existsSync);
    return realpathSync(found);
}

function run(command, args, { cwd, path }) {
    const { status, stdout, stderr, error } = spawnSync(command, args, {
        cwd,
        encoding: "utf8",
        env: environment(path),
        maxBuffer: 1 << 28,
    });
    assert.equal(error, undefined);
    assert.equal(status, 0, `${args.join(" ")} exited with ${status}\n${stdout}\n${stderr}`);
    return stdout;
}

/** Without what `npm run` sets, which would speak of this project. */
function environment(path) {
    const kept = Object.entries(process.env).filter(
        ([name]) => !/^(npm_(?!config_(cache|registry|userconfig|prefer_offline)$)|INIT_CWD|NODE_TEST)/i.test(name),
    );
    return { ...Object.fromEntries(kept), ...(path === undefined ? {} : { PATH: path }) };
}
