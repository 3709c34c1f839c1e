import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { type Activations, CaptureFile, CaptureFileWriter } from "llama-steer";
import { expectCode, failureOf } from "./support/expect-code.js";
import { activationsOf, numbered, numberedActivations, numberedDifference } from "./support/numbered-activations.js";
import { inRepository } from "./support/paths.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { chatContext, chatModel, question, questions } from "./support/testbed.js";
import { hostileObject, wrongValues } from "./support/wrong-values.js";

const folder = new TemporaryFolder();
let places = 0;
const place = (): string => join(folder.path, `capture-${places++}`);

/** Bytes of a shard for about so many rows of `numbered`. */
const shardOf = (rows: number): number => rows * (20 + 3 * (4 + 16 * 4));

async function written(rows: number, options: object = {}): Promise<string> {
    const directory = place();
    const writer = await CaptureFileWriter.open(directory, { ...numbered, ...options });
    await writer.append(numberedActivations(0, rows));
    await writer.close();
    return directory;
}

const bits = (data: Float32Array): Uint32Array => new Uint32Array(data.slice().buffer);

test("captures of a model come back bit for bit, with their labels", async (t) => {
    const model = await chatModel();
    const context = await chatContext();
    const capture = context.capture({ layers: [0, 3, 6] });
    const directory = place();
    const writer = await CaptureFileWriter.open(directory, {
        site: capture.site,
        layers: capture.layers,
        width: capture.width,
        metadata: { architecture: model.info.architecture, quote: '"\\\u{1f600}' },
        shardBytes: 40_000,
    });
    const kept: Activations[] = [];
    const prompts: number[] = [];
    for (const [index, text] of questions.entries()) {
        const sequence = context.sequence();
        await sequence.evaluate(model.encodePrompt(question(text)));
        const rows = capture.rowCount(0);
        await writer.append(capture, { prompts: new Int32Array(rows).fill(index) });
        kept.push(capture.copy());
        prompts.push(...Array(rows).fill(index));
        await sequence.dispose();
    }
    await writer.close();
    t.true(readdirSync(directory).length > 2, "there are several shards");

    const file = await CaptureFile.open(directory);
    t.like(file, {
        site: "residual",
        layers: [0, 3, 6],
        width: 128,
        type: "f32",
        complete: true,
        rows: prompts.length,
    });
    t.deepEqual(file.metadata, { architecture: model.info.architecture, quote: '"\\\u{1f600}' });
    t.deepEqual([...file.labels.prompt], prompts);
    await file.verify();
    let from = 0;
    for (const each of kept) {
        const rows = each.rowCount(0);
        const read = await file.read({ from, to: from + rows });
        t.deepEqual(bits(read.packed()), bits(each.packed()));
        t.deepEqual(read.labels(3), each.labels(3));
        from += rows;
    }
    const part = await file.read({ layers: [6, 0], from: 3, to: 40 });
    t.deepEqual(part.layers, [0, 6]);
    t.deepEqual(bits(part.row(6, 10)), bits((await file.read({ layers: 6 })).row(6, 13)));
    file.dispose();
    await context.dispose();
});

test("rows written as halves are the nearest halves", async (t) => {
    const directory = await written(50, { type: "f16", shardBytes: shardOf(20), sync: "append" });
    const file = await CaptureFile.open(directory);
    t.is(file.type, "f16");
    t.is(await numberedDifference(file), undefined, "these numbers are halves");
    await file.verify();

    const writer = await CaptureFileWriter.open(place(), { ...numbered, type: "f16" });
    const large = numberedActivations(0, 4);
    large.row(3, 2)[5] = 65520;
    await expectCode(t, "NOT_FINITE", () => writer.append(large), /row 2 of layer 3 holds at 5/);
    t.is(writer.rows, 0);
    large.row(3, 2)[5] = 65519;
    await writer.append(large);
    await writer.close();
});

test("rows go to memory that the caller gives", async (t) => {
    const file = await CaptureFile.open(await written(30));
    const into = new Float32Array(3 * 10 * 16 + 5).fill(-7);
    const read = await file.read({ from: 10, to: 20, into });
    t.is(read.data.buffer, into.buffer);
    t.deepEqual(read.packed(), (await file.read({ from: 10, to: 20 })).packed());
    t.deepEqual([...into.subarray(-5)], [-7, -7, -7, -7, -7]);
    await expectCode(t, "BUFFER_TOO_SMALL", () => file.read({ into }), /1440/);
    const both = [file.read({ from: 0, to: 10, into }), file.read({ from: 0, to: 10, into })];
    await expectCode(t, "BUFFER_IN_USE", () => both[1]);
    await both[0];
    t.is((await file.read({ from: 4, to: 4 })).rowCount(2), 0);
    file.dispose();
    file.dispose();
    await expectCode(t, "DISPOSED", () => file.read());
    await expectCode(t, "DISPOSED", () => file.verify());
    t.is(file.labels.token.length, 30);
});

test("appends that are not awaited keep their order", async (t) => {
    const directory = place();
    const writer = await CaptureFileWriter.open(directory, { ...numbered, shardBytes: shardOf(7) });
    const appends: Promise<void>[] = [];
    for (let row = 0; row < 200; row += 2) {
        const rows = numberedActivations(row, 2);
        appends.push(writer.append(rows));
        rows.data.fill(-1);
    }
    const closed = writer.close();
    await expectCode(t, "DISPOSED", () => writer.append(numberedActivations(0, 1)));
    await Promise.all([...appends, closed]);
    await writer.close();
    t.is(await numberedDifference(await CaptureFile.open(directory)), undefined);
});

test("a capture of many shards is one capture", async (t) => {
    const directory = await written(1000, { shardBytes: shardOf(3) });
    t.is(readdirSync(directory).length, 334);
    const file = await CaptureFile.open(directory);
    t.is(await numberedDifference(file), undefined);
    const fractions: number[] = [];
    await file.verify({ onProgress: (fraction) => fractions.push(fraction) });
    t.is(fractions.at(-1), 1);
    t.deepEqual(
        fractions,
        [...fractions].sort((a, b) => a - b),
    );
});

test("a closed capture is continued with append, by the same description only", async (t) => {
    const directory = await written(10, { shardBytes: shardOf(6), metadata: { model: "a" } });
    const again = (options: object): Promise<CaptureFileWriter> =>
        CaptureFileWriter.open(directory, { ...numbered, append: true, ...options });
    await expectCode(t, "INVALID_ARGUMENT", () => again({ append: false }), /append: true/);
    await expectCode(t, "INVALID_ARGUMENT", () => again({ site: "ffn_out" }), /its site is "residual"/);
    await expectCode(t, "INVALID_ARGUMENT", () => again({ layers: [2, 3] }), /its layers are 2,3,7/);
    await expectCode(t, "WIDTH_MISMATCH", () => again({ width: 17 }), /16 elements/);
    await expectCode(t, "INVALID_ARGUMENT", () => again({ type: "f16" }), /its type is "f32"/);
    await expectCode(t, "INVALID_ARGUMENT", () => again({ metadata: { model: "b" } }), /metadata/);
    const writer = await again({});
    t.is(writer.rows, 10);
    await writer.append(numberedActivations(10, 7));
    await writer.close();
    const file = await CaptureFile.open(directory);
    t.true(file.complete);
    t.is(file.metadata.model, "a");
    t.is(await numberedDifference(file), undefined);
});

test("one writer at a time has a directory", async (t) => {
    const directory = place();
    const writer = await CaptureFileWriter.open(directory, numbered);
    const other = (): Promise<CaptureFileWriter> => CaptureFileWriter.open(directory, { ...numbered, append: true });
    await expectCode(t, "FILE_IN_USE", other);
    const script = inRepository("test/fixtures/capture-writer.mjs");
    const { stdout } = spawnSync(process.execPath, [script, directory, "1", "1", "1000", "append"], {
        encoding: "utf8",
    });
    t.regex(stdout, /^FILE_IN_USE\n/);
    await writer.close();
    await (await other()).close();
});

test("only rows that fit the file are appended", async (t) => {
    const writer = await CaptureFileWriter.open(place(), numbered);
    const good = numberedActivations(0, 2);
    const { layers, width, data } = good;
    const labels = [2, 3, 7].map((layer) => good.labels(layer));
    const short = { sequence: Int32Array.of(0), position: Int32Array.of(0), token: Int32Array.of(0) };
    const make = (changes: { site?: string; layers?: number[]; width?: number; labels?: typeof labels }): Activations =>
        activationsOf(
            changes.site ?? "residual",
            changes.layers ?? layers,
            changes.width ?? width,
            2,
            data,
            changes.labels ?? labels,
        );
    await expectCode(t, "INVALID_ARGUMENT", () => writer.append(make({ site: "ffn_out" })), /site "ffn_out"/);
    await expectCode(t, "WIDTH_MISMATCH", () => writer.append(make({ width: 8 })), /8 wide/);
    await expectCode(t, "LAYER_OUT_OF_RANGE", () => writer.append(make({ layers: [2, 3, 6] })), /7/);
    const uneven = make({ labels: [labels[0] as typeof short, short, labels[2] as typeof short] });
    await expectCode(t, "INVALID_ARGUMENT", () => writer.append(uneven), /different numbers of rows \(2 and 1\)/);
    const lying = make({ labels: labels.map((each) => ({ ...each, position: Int32Array.of(1) })) });
    await expectCode(t, "WIDTH_MISMATCH", () => writer.append(lying), /position holds 1 labels for 2 rows/);
    const cut = activationsOf("residual", layers, width, 2, data.subarray(1), labels);
    await expectCode(t, "WIDTH_MISMATCH", () => writer.append(cut), /fewer/);
    await expectCode(t, "WIDTH_MISMATCH", () => writer.append(good, { prompts: Int32Array.of(1) }), /prompts holds 1/);
    const aborted = AbortSignal.abort("enough");
    await expectCode(t, "ABORTED", () => writer.append(good, { signal: aborted }));
    t.is(writer.rows, 0);
    const more = activationsOf("residual", [1, ...layers], width, 2, new Float32Array(128), [short, ...labels]);
    more.data.set(data, 32);
    await writer.append(more);
    t.is(writer.rows, 2, "other layers may be there");
    await writer.close();
});

test("values of wrong types are refused", async (t) => {
    const directory = await written(2);
    const writer = await CaptureFileWriter.open(place(), numbered);
    const file = await CaptureFile.open(directory);
    const rows = numberedActivations(0, 2);
    const isCount = (value: unknown): boolean => Number.isInteger(value) && (value as number) > 0;
    const isObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);
    type Anything = never;
    const open = (changes: object): Promise<unknown> =>
        CaptureFileWriter.open(place(), { ...numbered, ...changes }).then((each) => each.close());
    const cases: [string, (value: unknown) => boolean, (wrong: Anything) => unknown][] = [
        ["directory", (value) => typeof value === "string", (wrong) => CaptureFileWriter.open(wrong, numbered)],
        ["options", () => false, (wrong) => CaptureFileWriter.open(place(), wrong)],
        ["site", (value) => value === "text", (site) => open({ site })],
        ["layers", (value) => Array.isArray(value) && value[0] === 1, (layers) => open({ layers })],
        ["width", (value) => isCount(value) && (value as number) <= 2 ** 24, (width) => open({ width })],
        ["type", () => false, (type) => open({ type })],
        ["metadata", isObject, (metadata) => open({ metadata })],
        ["a value of metadata", (value) => typeof value === "string", (value) => open({ metadata: { value } })],
        ["shardBytes", (value) => isCount(value) && (value as number) <= 2 ** 40, (shardBytes) => open({ shardBytes })],
        ["append", (value) => typeof value === "boolean", (append) => open({ append })],
        ["recover", (value) => typeof value === "boolean", (recover) => open({ recover })],
        ["sync", () => false, (sync) => open({ sync })],
        ["activations", () => false, (wrong) => writer.append(wrong)],
        ["append options", isObject, (wrong) => writer.append(rows, wrong)],
        ["prompts", () => false, (prompts) => writer.append(rows, { prompts })],
        ["signal", (value) => value instanceof AbortSignal, (signal) => writer.append(rows, { signal })],
        ["directory", (value) => typeof value === "string", (wrong) => CaptureFile.open(wrong)],
        ["open options", isObject, (wrong) => CaptureFile.open(directory, wrong)],
        ["recover", (value) => typeof value === "boolean", (recover) => CaptureFile.open(directory, { recover })],
        ["read options", isObject, (wrong) => file.read(wrong)],
        ["layers", (value) => value === 7, (layers) => file.read({ layers })],
        ["from", () => false, (from) => file.read({ from, to: 0 })],
        ["to", () => false, (to) => file.read({ from: 2, to })],
        ["into", () => false, (into) => file.read({ into })],
        ["verify options", isObject, (wrong) => file.verify(wrong)],
        ["onProgress", (value) => typeof value === "function", (onProgress) => file.verify({ onProgress })],
    ];
    for (const [name, accepts, call] of cases) {
        for (const [what, value] of wrongValues(accepts)) {
            const error = await failureOf(() => call(value as Anything));
            t.regex(String((error as { code?: string } | undefined)?.code), /^[A-Z_]+$/, `${name}: ${what}: ${error}`);
            t.not((error as { code?: string } | undefined)?.code, "INTERNAL", `${name}: ${what}`);
        }
    }
    const revolt = new Error("revolt");
    t.is(await failureOf(() => CaptureFileWriter.open(place(), hostileObject(revolt) as Anything)), revolt);
    await expectCode(t, "INVALID_ARGUMENT", () => CaptureFile.open("a\0b"), /null character/);
    await expectCode(t, "INVALID_ARGUMENT", () => CaptureFile.open(""), /empty/);
    await expectCode(t, "FILE_NOT_FOUND", () => CaptureFile.open(place()));
    await expectCode(t, "FILE_UNREADABLE", () => CaptureFile.open(folder.write("plain", "text")));
    await expectCode(t, "FILE_WRITE_FAILED", () => CaptureFileWriter.open(join(folder.path, "plain", "x"), numbered));
    await expectCode(t, "INVALID_ARGUMENT", () => open({ metadata: { long: "x".repeat(2 ** 20) } }), /less metadata/);
    await writer.append(rows);
    await writer.close();
});

test("random damage anywhere is noticed", async (t) => {
    const directory = await written(40, { shardBytes: shardOf(15) });
    for (let round = 0; round < 150; round++) {
        const name = `activations-0000${round % 3}.safetensors`;
        const path = join(directory, name);
        const bytes = readFileSync(path);
        const wrong = Buffer.from(bytes);
        const at = Math.floor((round % 2 === 0 ? Math.random() : Math.random() / 4) * wrong.length);
        wrong[at] = (wrong[at] as number) ^ (1 << Math.floor(Math.random() * 8));
        writeFileSync(path, wrong);
        const check = async (): Promise<void> => {
            const file = await CaptureFile.open(directory);
            await file.verify().finally(() => file.dispose());
        };
        await expectCode(t, "DATA_DAMAGED", check, /activations-0000/);
        writeFileSync(path, bytes);
    }
    await (await CaptureFile.open(directory)).verify();
});

test("a reader that knows nothing of this package reads a shard", async (t) => {
    const python = spawnSync("python3", ["--version"]);
    if (python.status !== 0) {
        t.log("skipped: there is no python3 here");
        t.pass();
        return;
    }
    for (const type of ["f32", "f16"]) {
        const path = join(await written(9, { type }), "activations-00000.safetensors");
        const { stdout, stderr } = spawnSync("python3", [inRepository("test/fixtures/read_capture.py"), path], {
            encoding: "utf8",
        });
        t.is(stderr, "");
        const { metadata, tensors } = JSON.parse(stdout);
        t.like(metadata, { state: "complete", rows: "000000000009", site: "residual", layers: "2,3,7", type });
        const expected = numberedActivations(0, 9);
        for (const layer of numbered.layers) {
            t.deepEqual(tensors[`layer.${layer}`].shape, [9, 16]);
            t.deepEqual(tensors[`layer.${layer}`].numbers, [...expected.layer(layer)]);
        }
        t.deepEqual(tensors.token.numbers, [...expected.labels(2).token]);
        t.deepEqual(tensors.prompt.numbers, Array(9).fill(-1));
    }
});
