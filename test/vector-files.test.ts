import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, truncateSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "ava";
import { loadVector, SteeringVector, saveVector, type VectorMetadata } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { readGguf, tensorValues } from "./support/gguf.js";
import { toHalf } from "./support/half.js";
import { chatModelPath } from "./support/paths.js";
import { runScript } from "./support/run-script.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { chatModel } from "./support/testbed.js";
import {
    ggufBytes,
    newFile,
    newPath,
    safetensorsBytes,
    safetensorsHeader,
    textPart,
    vectorOf,
} from "./support/vector-files.js";

const formats = [".gguf", ".safetensors"] as const;
const model = { architecture: "qwen3", layers: 8, hiddenSize: 128, fingerprint: "ab12" };
const metadata = {
    method: "wrmd",
    lambda: 0.1,
    samples: 4_000_000_000_000,
    seed: 2 ** 53 - 1,
    note: 'ä "quoted" \\ 界\n',
    "preserve.mode": "",
    model,
} satisfies VectorMetadata;
const full = vectorOf([1, 3, 7], 128, 1, { norms: Float32Array.of(1.5, 2.25, 1e-3), metadata });

function equal(a: SteeringVector, b: SteeringVector): boolean {
    const bits = (floats: ArrayLike<number> = []): Buffer => Buffer.from(Float32Array.from(floats).buffer);
    return (
        a.layers.join() === b.layers.join() && bits(a.data).equals(bits(b.data)) && bits(a.norms).equals(bits(b.norms))
    );
}

async function saved(vector: SteeringVector, ending: string, options = {}): Promise<string> {
    const path = newPath(ending);
    await saveVector(vector, path, options);
    return path;
}

for (const ending of formats) {
    test(`a vector comes back from ${ending} bit for bit, with norms and all metadata`, async (t) => {
        const subnormal = vectorOf([2], 5, 2).scale(1e-42);
        const largest = vectorOf([1, 4], 1, 3).scale(1e38);
        for (const vector of [full, full.withNorms(undefined), subnormal, largest, vectorOf([5], 1000, 4)]) {
            const read = await loadVector(await saved(vector, ending));
            t.true(equal(read, vector));
            t.deepEqual(read.metadata, vector.metadata);
        }
    });

    test(`a vector with layer 0, of another operation or site, comes back from ${ending}`, async (t) => {
        const first = vectorOf([0, 2], 16, 5);
        const options = ending === ".gguf" ? { layout: "own" as const } : {};
        t.true(equal(await loadVector(await saved(first, ending, options)), first));
        const ablating = first.withMetadata({ operation: "ablate", site: "mlp_out" });
        const read = await loadVector(await saved(ablating, ending), { as: "ablate" });
        t.true(equal(read, ablating));
        t.deepEqual(read.metadata, ablating.metadata);
    });

    test(`${ending}: a vector that is not for adding is loaded as what it is only`, async (t) => {
        const path = await saved(full.withMetadata({ operation: "ablate" }), ending);
        await expectCode(t, "VECTOR_NOT_ADDITIVE", () => loadVector(path), /as: "ablate"/);
        await expectCode(t, "VECTOR_NOT_ADDITIVE", () => loadVector(path, { as: "clamp" }), /"ablate".*"clamp"/);
        t.is((await loadVector(path, { as: "ablate" })).metadata.operation, "ablate");
        t.is((await loadVector(path, { as: "any" })).metadata.operation, "ablate");
        const additive = await saved(full, ending);
        await expectCode(t, "INVALID_ARGUMENT", () => loadVector(additive, { as: "ablate" }), /for adding/);
        t.is((await loadVector(additive, { as: "any" })).metadata.operation, "add");
    });

    test(`${ending}: a vector of another model is refused unless forced, and its width is refused when it steers`, async (t) => {
        const path = await saved(full, ending);
        t.true(equal(await loadVector(path, { model }), full));
        t.true(equal(await loadVector(path, { model: await chatModel() }), full), "which has no fingerprint");
        for (const [changes, message] of [
            [{ architecture: "llama" }, /architecture qwen3 and llama/],
            [{ hiddenSize: 256 }, /hiddenSize 128 and 256/],
            [{ layers: 9 }, /layers 8 and 9/],
            [{ fingerprint: "cd34" }, /fingerprint ab12 and cd34/],
        ] as const) {
            const other = { ...model, ...changes };
            await expectCode(t, "VECTOR_MISMATCH", () => loadVector(path, { model: other }), message);
            t.true(equal(await loadVector(path, { model: other, force: true }), full));
        }
        const unknown = await saved(vectorOf([3, 9], 64, 6), ending);
        const layers = { ...model, hiddenSize: 64 };
        await expectCode(t, "VECTOR_MISMATCH", () => loadVector(unknown, { model }), /hiddenSize 64 and 128/);
        await expectCode(t, "VECTOR_MISMATCH", () => loadVector(unknown, { model: layers }), /layers 10 and 8/);
        await t.notThrowsAsync(() => loadVector(unknown, { model: { ...layers, layers: 10 } }));
        const forced = await loadVector(unknown, { model: await chatModel(), force: true });
        const context = await (await chatModel()).createContext({ threads: 1 });
        await expectCode(t, "WIDTH_MISMATCH", () => context.sequence().steer(forced, { layers: 3 }));
        await context.dispose();
    });

    test(`${ending}: where a file cannot be written, it says so and leaves what was there`, async (t) => {
        const folder = new TemporaryFolder();
        const path = join(folder.path, `kept${ending}`);
        await saveVector(full, path);
        const before = readFileSync(path);
        const cases: [string, () => unknown][] = [
            ["a folder that is not there", () => saveVector(full, join(folder.path, "none", `a${ending}`))],
            ["a file for a folder", () => saveVector(full, join(path, `a${ending}`))],
        ];
        mkdirSync(join(folder.path, `folder${ending}`));
        cases.push(["a folder of that name", () => saveVector(full, join(folder.path, `folder${ending}`))]);
        for (const [, call] of cases) {
            await expectCode(t, "FILE_WRITE_FAILED", call);
        }
        t.deepEqual(
            readdirSync(folder.path).sort(),
            [`folder${ending}`, `kept${ending}`].sort(),
            "nothing else is left",
        );
        t.deepEqual(readFileSync(path), before);
        await saveVector(full.scale(2), path);
        t.true(equal(await loadVector(path), full.scale(2)), "one that is there is replaced");
    });
}

test("a limit on the size of files leaves the file that was there, whole", async (t) => {
    if (process.platform === "win32") {
        t.log("skipped: no such limit here");
        t.pass();
        return;
    }
    const path = join(new TemporaryFolder().path, "limited.gguf");
    await saveVector(full, path);
    const script = `
        import { SteeringVector, saveVector } from "llama-steer";
        process.on("SIGXFSZ", () => {});
        const vector = new SteeringVector([1], new Float32Array(1e6).fill(1));
        await saveVector(vector, process.argv[1]).catch((error) => console.log(error.code, error.message));`;
    const limited = `ulimit -f 64 && exec "$0" --input-type=module --eval "$1" -- "$2"`;
    const { stdout } = spawnSync("bash", ["-c", limited, process.execPath, script, path], { encoding: "utf8" });
    t.regex(stdout, /^FILE_WRITE_FAILED cannot write .*\.gguf/);
    t.true(equal(await loadVector(path), full));
    t.deepEqual(
        readdirSync(dirname(path)).filter((name) => name.startsWith(".llama-steer")),
        [],
    );
});

test("a process killed while it writes leaves the old file or the new one", async (t) => {
    const path = await saved(full, ".safetensors");
    const script = `
        import { SteeringVector, saveVector } from "llama-steer";
        setTimeout(() => process.kill(process.pid, "SIGKILL"), Number(process.argv[2]));
        for (let i = 1; ; i++) await saveVector(new SteeringVector([1], new Float32Array(2e5).fill(i)), process.argv[1]);`;
    for (const milliseconds of [1, 4, 9, 23, 40]) {
        await runScript(script, [path, String(milliseconds)]);
        const read = await loadVector(path);
        t.true(equal(read, full) || read.data.every((each) => each === read.data[0]));
    }
});

test("the format is what the path ends with, unless it is given", async (t) => {
    const path = await saved(full, ".vector", { format: "gguf" });
    t.is(readFileSync(path).toString("latin1", 0, 4), "GGUF");
    t.true(equal(await loadVector(path), full), "reading looks at the content");
    t.is(readFileSync(await saved(full, ".GGUF")).toString("latin1", 0, 4), "GGUF");
    await expectCode(t, "INVALID_ARGUMENT", () => saveVector(full, newPath(".bin")), /\.gguf or \.safetensors/);
    await expectCode(t, "INVALID_ARGUMENT", () => saveVector(full, newPath(".gguf"), { format: "pt" as never }));
});

test("a GGUF control vector is what llama.cpp's loader takes", async (t) => {
    const path = await saved(full, ".gguf");
    const layout = readGguf(path);
    const names = layout.tensors.map(({ name, shape, type }) => [name, shape, type]);
    t.deepEqual(
        names,
        [1, 3, 7].map((layer) => [`direction.${layer}`, [128], 0]),
    );
    t.deepEqual(tensorValues(layout, "direction.3"), full.layer(3));
    const { at } = layout.values.get("controlvector.layer_count") as { at: number };
    t.is(layout.bytes.readInt32LE(at), 3);
    t.true(layout.tensors.every(({ offset }) => offset % 32 === 0));
    t.is(layout.bytes.length % 32, 0);
});

test("what llama.cpp would misread is refused, or gets names that it refuses", async (t) => {
    const first = vectorOf([0, 2], 16, 7);
    await expectCode(t, "INVALID_ARGUMENT", () => saveVector(first, newPath(".gguf")), /layers\.slice\(1\)/);
    t.true(equal(await loadVector(await saved(first.select(first.layers.slice(1)), ".gguf")), first.select(2)));
    const ablating = first.withMetadata({ operation: "ablate" });
    const asLlama = { layout: "llama.cpp" as const };
    await expectCode(t, "VECTOR_NOT_ADDITIVE", () => saveVector(ablating, newPath(".gguf"), asLlama));
    const elsewhere = first.select(2).withMetadata({ site: "mlp_out" });
    await expectCode(t, "INVALID_ARGUMENT", () => saveVector(elsewhere, newPath(".gguf"), asLlama), /mlp_out/);
    for (const vector of [ablating, elsewhere]) {
        const { tensors } = readGguf(await saved(vector, ".gguf"));
        t.true(tensors.every(({ name }) => /^llama_steer\.direction\.\d$/.test(name)));
    }
    await expectCode(t, "INVALID_ARGUMENT", () => saveVector(full, newPath(".safetensors"), asLlama), /GGUF/);
});

test("a safetensors file holds one matrix, its layers and its norms, with metadata as texts", async (t) => {
    const path = await saved(full, ".safetensors");
    const { __metadata__: texts, ...tensors } = safetensorsHeader(path) as Record<string, object>;
    t.deepEqual(Object.keys(tensors), ["directions", "layers", "norms"]);
    t.like(tensors, { directions: { dtype: "F32", shape: [3, 128] }, layers: { dtype: "I32", shape: [3] } });
    t.true(Object.values(texts as object).every((value) => typeof value === "string"));
    t.is((8 + Number(readFileSync(path).readBigUInt64LE(0))) % 64, 0, "the data are aligned");
});

/** Numbers that float16 and bfloat16 hold exactly. */
const halves = [0.5, -1.25, 0, 96, -0.0078125, 1.5];
const bf16 = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0] as number;

test("half precision is read exactly, in both formats", async (t) => {
    const f16 = Buffer.from(Uint16Array.from(halves, toHalf).buffer);
    const b16 = Buffer.from(Uint16Array.from(halves, (each) => bf16(each) >>> 16).buffer);
    for (const [ggufType, dtype, data] of [
        [1, "F16", f16],
        [30, "BF16", b16],
    ] as const) {
        const parts = [textPart("general.architecture", "controlvector")];
        const gguf = ggufBytes(parts, [{ name: "direction.2", shape: [halves.length], type: ggufType, data }]);
        const header = { "direction.2": { dtype, shape: [halves.length], data_offsets: [0, data.length] } };
        for (const path of [newFile(".gguf", gguf), newFile(".safetensors", safetensorsBytes(header, data))]) {
            t.deepEqual([...(await loadVector(path, { dialect: "repeng" })).data], halves);
        }
    }
});

test("a model is no vector, and the message says so", async (t) => {
    await expectCode(t, "DATA_DAMAGED", () => loadVector(chatModelPath), /architecture "qwen3", so a model/);
    // What is too large for a vector is not read to its end.
    const large = newFile(".gguf", readFileSync(chatModelPath));
    truncateSync(large, 2 ** 33);
    await expectCode(t, "DATA_DAMAGED", () => loadVector(large), /architecture "qwen3", so a model/);
    truncateSync(large, 0);
    truncateSync(large, 2 ** 33);
    await expectCode(t, "DATA_DAMAGED", () => loadVector(large), /8589934592 bytes/);
    await expectCode(t, "DATA_DAMAGED", () => loadVector(newFile(".gguf", "PK\x03\x04 a PyTorch file")), /neither/);
    const weights = { weight: { dtype: "F32", shape: [2], data_offsets: [0, 8] } };
    await expectCode(
        t,
        "DATA_DAMAGED",
        () => loadVector(newFile("", safetensorsBytes(weights, Buffer.alloc(8)))),
        /another kind/,
    );
});

test("a file that is not there, or is no file, has a code of its own", async (t) => {
    const folder = new TemporaryFolder();
    await expectCode(t, "FILE_NOT_FOUND", () => loadVector(join(folder.path, "none.gguf")));
    await expectCode(t, "FILE_NOT_FOUND", () => loadVector(join(chatModelPath, "none.gguf")));
    await expectCode(t, "FILE_UNREADABLE", () => loadVector(folder.path));
    if (process.platform === "linux") {
        spawnSync("mkfifo", [join(folder.path, "pipe.gguf")]);
        await expectCode(t, "FILE_UNREADABLE", () => loadVector(join(folder.path, "pipe.gguf")));
        await expectCode(t, "FILE_UNREADABLE", () => loadVector("/dev/zero"));
    }
});

test("arguments of wrong kinds are refused before any file is touched", async (t) => {
    const path = await saved(full, ".gguf");
    const any = (value: unknown) => value as never;
    for (const call of [
        () => loadVector(any(7)),
        () => loadVector(""),
        () => loadVector("a\0b"),
        () => loadVector(path, any("x")),
        () => loadVector(path, { dialect: any("llama") }),
        () => loadVector(path, { force: any(1) }),
        () => loadVector(path, { as: "" }),
        () => loadVector(path, { as: any(1) }),
        () => loadVector(path, { model: any("qwen3") }),
        () => loadVector(path, { model: any({ architecture: "qwen3" }) }),
        () => saveVector(any({ layers: [1] }), path),
        () => saveVector(full, ""),
        () => saveVector(full, any(7)),
        () => saveVector(full, path, any(7)),
        () => saveVector(full, path, { layout: any("other") }),
    ]) {
        await expectCode(t, "INVALID_ARGUMENT", call);
    }
    t.true(equal(await loadVector(path), full));
});

test("metadata that are too long for a header are refused, and nothing is written", async (t) => {
    const long = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`k${i}`, "界".repeat(65536)]));
    const vector = full.withMetadata(long);
    const path = newPath(".safetensors");
    await expectCode(t, "INVALID_ARGUMENT", () => saveVector(vector, path), /metadata take/);
    await expectCode(t, "FILE_NOT_FOUND", () => loadVector(path));
    t.deepEqual((await loadVector(await saved(vector, ".gguf"))).metadata, vector.metadata);
});

test("what would be too large to be read is not written, and the highest layer number comes back", async (t) => {
    const path = newPath(".gguf");
    const large = new SteeringVector([1], new Float32Array(2 ** 25 + 1));
    await expectCode(t, "INVALID_ARGUMENT", () => saveVector(large, path), /save some of its layers/);
    await expectCode(t, "FILE_NOT_FOUND", () => loadVector(path));
    const high = vectorOf([3, 2 ** 31 - 1], 4, 10);
    for (const ending of formats) {
        t.true(equal(await loadVector(await saved(high, ending)), high));
    }
});

test("a file of a model's every layer is read in a moment", async (t) => {
    const count = 126;
    const vector = vectorOf(
        Array.from({ length: count }, (_, i) => i + 1),
        16384,
        9,
    );
    for (const ending of formats) {
        const path = await saved(vector, ending);
        const begin = performance.now();
        t.true(equal(await loadVector(path), vector));
        t.true(performance.now() - begin < 10_000);
    }
});
