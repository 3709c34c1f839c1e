#!/usr/bin/env node
// Checks who includes or imports whom, against the rooms of docs/design.md:
//
//   node scripts/check-arrows.mjs [--self-test]
//
//   ts -> binding -> cpp -> llama.cpp, and inside cpp: ridge and storage know base alone, attention, matmul, capture and
//   steering know ggml tensors but no models, only graph sees llama.cpp's internals (and benchmarks the functions of its staging header, to
//   measure them). synthetic, which makes models for tests and benchmarks, knows base and ggml, and is known by nobody
//   else.

import { readFileSync } from "node:fs";
import { dirname, extname, join, normalize } from "node:path";
import { displayed, filesUnder, root } from "./lib/project.mjs";

const rooms = ["base", "model", "graph", "attention", "matmul", "capture", "steering", "engine", "ridge", "storage"];

const nodeHeader =
    /^(napi(-inl)?|node_api(_types)?|js_native_api(_types)?|node|node_buffer|uv|v8)(\/.*)?\.h$|^(uv|v8)\//;
const publicLlama = /^(llama|llama-cpp)\.h$/;
const internalLlama = /^(src\/)?(llama-(?!cpp\.h$).*|unicode.*|models\/.*)\.h$|^ggml-(?:.*-)?impl\.h$/;
/** Functions that llama.cpp exports and has not settled yet: not for us to build on, but what we are measured against. */
const stagingLlama = /^(src\/)?llama-ext\.h$/;
/** Benchmarks ask a context in how many pieces its graph is cut, which no public function tells. */
const contextLlama = /^(src\/)?llama-context\.h$/;
/** What a ggml backend implements, and when one may fuse nodes: for a device that is made up for tests. */
const backendGgml = /^ggml-(backend-)?impl\.h$/;
const anyGgml = /^(ggml.*|gguf)\.h$/;
const binding = /(^|\/)binding\//;

/** Rules for C++: `where` the including file lies, `header` what it must not include, `except` (where, header) those it may. */
const includeRules = [
    { where: /^cpp\//, header: nodeHeader, why: "cpp/ builds without Node: its headers belong in binding/" },
    { where: /^cpp\//, header: binding, why: "arrows run from binding to cpp, never back" },
    {
        where: /^(?!cpp\/graph\/)/,
        header: internalLlama,
        except: [
            { where: /^cpp\/bench\//, header: stagingLlama },
            { where: /^cpp\/bench\/graph_pieces\.h$/, header: contextLlama },
            { where: /^cpp\/test\/fake_device\.h$/, header: backendGgml },
        ],
        why: "llama.cpp's internal headers are included in cpp/graph only",
    },
    {
        where: /^cpp\/ridge\//,
        header: /^(llama|ggml|gguf)/,
        why: "the ridge solver knows nothing of llama.cpp",
    },
    {
        where: /^cpp\/ridge\//,
        header: new RegExp(`^(?:${rooms.filter((room) => room !== "base" && room !== "ridge").join("|")})/`),
        why: "the ridge solver knows no other room than base",
    },
    {
        where: /^cpp\/storage\//,
        header: new RegExp(
            `^(?:${rooms.filter((room) => room !== "base" && room !== "storage").join("|")})/|^(llama|ggml|gguf)`,
        ),
        why: "storage knows no other room than base, and nothing of llama.cpp",
    },
    {
        where: /^cpp\/base\//,
        header: new RegExp(`^(?:${rooms.filter((room) => room !== "base").join("|")})/|^(llama|ggml|gguf)`),
        why: "base stands on nothing",
    },
    {
        where: /^cpp\/(attention|matmul|capture|steering)\//,
        header: publicLlama,
        why: "attention, matmul, capture and steering know ggml tensors, not models",
    },
    {
        where: /^cpp\/(attention|matmul|capture|steering)\//,
        header: /^(model|engine)\//,
        why: "attention, matmul, capture and steering know neither models nor the engine",
    },
    {
        where: /^cpp\/synthetic\//,
        header: new RegExp(`^(?:${rooms.filter((room) => room !== "base").join("|")})/|${publicLlama.source}`),
        why: "synthetic models are made with base and ggml's public headers alone",
    },
    {
        where: /^(?!cpp\/(synthetic|test|bench)\/)/,
        header: /^(cpp\/)?synthetic\//,
        why: "synthetic models are for tests and benchmarks, and not in the npm package",
    },
    {
        where: /^binding\//,
        header: new RegExp(`${publicLlama.source}|${anyGgml.source}`),
        why: "binding speaks to cpp, not to llama.cpp",
    },
];

/** Rules for TypeScript: `target` is the imported file's path in the repository, or the bare name of a package. */
const importRules = [
    { where: /^ts\//, target: /^(dist-test|test|bench|examples)\//, why: "the package never imports its tests" },
    {
        where: /^ts\//,
        target: /^(binding|cpp|build|prebuilds)\/(?!.*\.json$)/,
        why: "the addon is loaded by its loader",
    },
    {
        where: /^ts\/refusal\//,
        target: /^ts\/(?!refusal\/|index\.|formats\/index\.)|^(dist|binding|build)\//,
        why: "the refusal pipeline uses only the public API (ts/index)",
    },
    {
        where: /^ts\/server\//,
        target: /^ts\/(?!server\/|index\.|formats\/safetensors-writer\.)|^(dist|binding|build)\//,
        why: "serving uses only the public API (ts/index), and the writer of safetensors",
    },
    {
        where: /^ts\/cli\//,
        target: /^ts\/(?!cli\/|(?:refusal\/|ridge\/|server\/)?index\.)|^(dist|binding|build)\//,
        why: "the command line uses the package as its users do: the index of ts, ts/refusal, ts/ridge and ts/server",
    },
    {
        where: /^ts\/(?!cli\/)/,
        target: /^ts\/cli\//,
        why: "the command line stands on the library, never the other way round",
    },
    {
        where: /^ts\/formats\//,
        target: /^ts\/(?!formats\/|(?:check|model|native|steer-error|steering-vector|vector-metadata)\.)/,
        why: "vector files know vectors and what a model is, and nothing that runs",
    },
    {
        where: /^(test|bench|examples)\//,
        target: /^ts\//,
        why: "tests, benchmarks and examples use the package as its users do: import from llama-steer",
    },
];

/** Violations in one file: `path` from the root, with forward slashes. */
export function violations(path, text) {
    return /\.(h|hpp|cpp|c|cc|mm|cu)$/.test(path) ? brokenIncludes(path, text) : brokenImports(path, text);
}

function brokenIncludes(path, text) {
    return matches(text, /^[ \t]*#[ \t]*(?:include|import)[ \t]*["<]([^">]+)[">]/gm).flatMap(({ name, line }) => {
        const header = resolveInclude(path, name);
        const fits = (rule) => rule.where.test(path) && (rule.header.test(header) || rule.header.test(name));
        return includeRules
            .filter((rule) => fits(rule) && !(rule.except ?? []).some(fits))
            .map((rule) => ({ path, line, name, why: rule.why }));
    });
}

/** Include paths are relative to cpp/; one that climbs is brought to that form. */
function resolveInclude(path, name) {
    if (!name.startsWith(".")) {
        return name;
    }
    return normalize(join(dirname(path), name))
        .replaceAll("\\", "/")
        .replace(/^cpp\//, "");
}

function brokenImports(path, text) {
    const pattern = /(?:\bfrom|\bimport|\bimport\s*\(|\brequire\s*\()\s*["']([^"']+)["']/g;
    return matches(text, pattern).flatMap(({ name, line }) => {
        const target = name.startsWith(".") ? normalize(join(dirname(path), name)).replaceAll("\\", "/") : name;
        return importRules
            .filter((rule) => rule.where.test(path) && rule.target.test(target))
            .map((rule) => ({ path, line, name, why: rule.why }));
    });
}

function matches(text, pattern) {
    return [...text.matchAll(pattern)].map((match) => ({
        name: match[1],
        line: text.slice(0, match.index).split("\n").length,
    }));
}

/** One line each: a file, what it says, and whether that breaks an arrow. */
const cases = [
    ["cpp/model/model.cpp", '#include "llama.h"', true],
    ["cpp/model/model.cpp", "#include <napi.h>", false],
    ["cpp/model/model.cpp", "  #  include <uv.h>", false],
    ["cpp/engine/engine.h", '#include "node_api.h"', false],
    ["cpp/engine/engine.h", '#include "../../binding/module.h"', false],
    ["cpp/model/model.cpp", '#include "llama-model.h"', false],
    ["cpp/model/model.cpp", '#include "llama-cpp.h"', true],
    ["cpp/graph/upstream_hook.cpp", '#include "llama-model.h"', true],
    ["binding/model.cpp", '#include "llama-context.h"', false],
    ["binding/model.cpp", '#include "llama.h"', false],
    ["binding/model.cpp", '#include <napi.h>\n#include "model/model.h"', true],
    ["cpp/ridge/gram.cpp", '#include "base/error.h"', true],
    ["cpp/ridge/gram.cpp", '#include "../base/error.h"\n#include "ridge/blas.h"\n#include "blas.h"', true],
    ["cpp/ridge/gram.cpp", '#include "ggml.h"', false],
    ["cpp/ridge/gram.cpp", '#include "capture/tap.h"', false],
    ["cpp/ridge/gram.cpp", '#include "../capture/tap.h"', false],
    ["cpp/base/error.cpp", '#include "model/model.h"', false],
    ["cpp/storage/shard_writer.cpp", '#include "base/error.h"\n#include "storage/half.h"', true],
    ["cpp/storage/shard_writer.cpp", '#include "capture/tap.h"', false],
    ["cpp/storage/shard_writer.cpp", '#include "ggml.h"', false],
    ["cpp/capture/tap.cpp", '#include "ggml-backend.h"', true],
    ["cpp/steering/plan.cpp", "#include <llama.h>", false],
    ["cpp/steering/plan.cpp", "// #include <llama.h>", true],
    ["cpp/steering/plan.cpp", '#include "engine/engine.h"', false],
    ["cpp/synthetic/model_file.cpp", '#include "base/error.h"\n#include <gguf.h>\n#include <ggml-cpp.h>', true],
    ["cpp/synthetic/model_file.cpp", '#include "synthetic/vocabulary.h"', true],
    ["cpp/synthetic/model_file.cpp", '#include "model/model.h"', false],
    ["cpp/synthetic/model_file.cpp", "#include <llama.h>", false],
    ["cpp/synthetic/model_file.cpp", '#include "ggml-impl.h"', false],
    ["cpp/test/synthetic_test.cpp", '#include "synthetic/model_file.h"', true],
    ["cpp/bench/capture_bench.cpp", '#include "synthetic/presets.h"', true],
    ["cpp/bench/layer_input_side.h", "#include <llama-ext.h>", true],
    ["cpp/bench/layer_input_side.h", '#include "llama-context.h"', false],
    ["cpp/bench/layer_input_side.h", '#include "llama-extra.h"', false],
    ["cpp/test/reference.h", "#include <llama-ext.h>", false],
    ["cpp/bench/graph_pieces.h", "#include <llama-context.h>", true],
    ["cpp/bench/plain_side.h", "#include <llama-context.h>", false],
    ["cpp/test/fake_device.h", "#include <ggml-backend-impl.h>", true],
    ["cpp/test/fake_device.h", "#include <llama-context.h>", false],
    ["cpp/test/reference.h", "#include <ggml-impl.h>", false],
    ["cpp/model/context.cpp", "#include <llama-ext.h>", false],
    ["cpp/model/model.cpp", '#include "synthetic/model_file.h"', false],
    ["binding/model.cpp", '#include "../cpp/synthetic/model_file.h"', false],
    ["ts/refusal/fit.ts", 'import { fitDirection } from "../index.js";', true],
    ["ts/refusal/fit.ts", 'import { score } from "./score.js";', true],
    ["ts/refusal/fit.ts", 'import {\n    addon,\n} from "../addon.js";', false],
    ["ts/refusal/fit.ts", 'export * from "../model.js";', false],
    ["ts/server/scheduler.ts", 'import { Context } from "../index.js";', true],
    ["ts/server/scheduler.ts", 'import { Job } from "./job.js";', true],
    ["ts/server/scheduler.ts", 'import { checkObject } from "../check.js";', false],
    [
        "ts/cli/fit.ts",
        'import { loadModel } from "../index.js";\nimport { RunDirectory } from "../refusal/index.js";\nimport { table } from "./table.js";',
        true,
    ],
    ["ts/cli/inspect.ts", 'import { ridgeBytes } from "../ridge/index.js";', true],
    ["ts/cli/serve.ts", 'import { serve } from "../server/index.js";', true],
    ["ts/cli/serve.ts", 'import { nodeListener } from "../server/node-listener.js";', false],
    ["ts/cli/inspect.ts", 'import { native } from "../native.js";', false],
    ["ts/cli/fit.ts", 'import { Journal } from "../refusal/journal.js";', false],
    ["ts/cli/vector-show.ts", 'import { dialectOf } from "../formats/dialects.js";', false],
    ["ts/refusal/run.ts", 'import { Progress } from "../cli/progress.js";', false],
    ["ts/model.ts", 'import { table } from "./cli/table.js";', false],
    [
        "ts/formats/load.ts",
        'import { SteeringVector } from "../steering-vector.js";\nimport { read } from "./read.js";',
        true,
    ],
    ["ts/formats/load.ts", 'import { Model } from "../model.js";', true],
    ["ts/formats/load.ts", 'import { Sequence } from "../sequence.js";', false],
    ["ts/formats/load.ts", 'import { loadModel } from "../index.js";', false],
    ["ts/model.ts", 'import { help } from "../test/help.js";', false],
    ["ts/model.ts", 'const help = await import("../test/help.js");', false],
    ["ts/model.ts", 'import { addon } from "./addon.js";', true],
    ["test/model.test.ts", 'import { Model } from "../ts/model.js";', false],
    ["test/model.test.ts", 'import { Model } from "llama-steer";', true],
];

function selfTest() {
    const wrong = cases.filter(([path, text, allowed]) => (violations(path, text).length === 0) !== allowed);
    for (const [path, text, allowed] of wrong) {
        console.error(`${path}: ${JSON.stringify(text)} should be ${allowed ? "allowed" : "refused"}`);
    }
    console.log(`arrows self-test: ${cases.length - wrong.length} passed, ${wrong.length} failed`);
    return wrong.length === 0;
}

function checkTree() {
    const folders = ["cpp", "binding", "ts", "test", "bench", "examples"];
    const files = folders
        .flatMap((name) => filesUnder(join(root, name)))
        .filter((file) =>
            [".h", ".hpp", ".cpp", ".c", ".cc", ".mm", ".cu", ".ts", ".mts", ".mjs", ".js"].includes(extname(file)),
        );
    const found = files.flatMap((file) => violations(displayed(file), readFileSync(file, "utf8")));
    for (const { path, line, name, why } of found) {
        console.error(`${path}:${line}: ${name}: ${why}`);
    }
    console.log(`arrows: ${files.length} files, ${found.length} violations`);
    return found.length === 0;
}

const ok = process.argv.includes("--self-test") ? selfTest() : selfTest() && checkTree();
process.exitCode = ok ? 0 : 1;
