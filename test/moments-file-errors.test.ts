import { closeSync, openSync, readFileSync, readSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { CaptureFile, CaptureFileWriter, MomentsAccumulator, SteerError } from "llama-steer";
import { expectCode, failureOf } from "./support/expect-code.js";
import { randomNumbers } from "./support/numbers.js";
import { folder, same, shardRows, width, written } from "./support/written-capture.js";
import { wrongValues } from "./support/wrong-values.js";

const layers = [1, 3];
const two = { layers, width, groups: 2 };

function shardPath(directory: string, shard: number): string {
    return join(directory, `activations-${String(shard).padStart(5, "0")}.safetensors`);
}

/** Where the rows of a layer lie in a shard. */
function bytesOfLayer(path: string, layer: number): [begin: number, end: number] {
    const bytes = readFileSync(path);
    const json = Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.toString("utf8", 8, 8 + json));
    return header[`layer.${layer}`].data_offsets.map((each: number) => 8 + json + each);
}

/** Changes one bit; doing it again mends it. */
function flip(path: string, at: number, bit: number): void {
    const file = openSync(path, "r+");
    const byte = new Uint8Array(1);
    readSync(file, byte, 0, 1, at);
    writeSync(file, Uint8Array.of((byte[0] as number) ^ (1 << bit)), 0, 1, at);
    closeSync(file);
}

test("damage in any row that counts is noticed, and leaves no trace", async (t) => {
    const { directory, file, groups, weights } = await written(110, 1);
    const moments = new MomentsAccumulator(two);
    await moments.add(file);
    const before = moments.toBytes();
    const random = randomNumbers(5);
    let left = 0;
    for (let i = 0; i < 60; i++) {
        const shard = Math.floor(random() * 5.5);
        const path = shardPath(directory, shard);
        const layer = layers[i % 2] as number;
        const [begin, end] = bytesOfLayer(path, layer);
        const at = begin + Math.floor(random() * (end - begin));
        const row = shard * shardRows + Math.floor((at - begin) / (4 * width));
        const bit = Math.floor(random() * 8);
        flip(path, at, bit);
        const what = new RegExp(`activations-0000${shard}.* row ${row} of layer ${layer} .*checksum`);
        await expectCode(t, "DATA_DAMAGED", () => moments.add(file), what);
        await expectCode(t, "DATA_DAMAGED", () => moments.add(file, { from: row, to: row + 1 }), what);
        t.true(same(moments.toBytes(), before));
        if (groups[row] === -1 || weights[row] === 0) {
            left++;
            await MomentsAccumulator.fromBytes(before).add(file, { groups, weights });
        }
        flip(path, at, bit);
    }
    t.true(left > 0, "some damaged rows were left out");
    const [begin] = bytesOfLayer(shardPath(directory, 2), 2);
    flip(shardPath(directory, 2), begin, 3);
    await moments.add(file);
    t.is(moments.count(1), 220, "damage in layers that are not added is not looked for");

    const last = MomentsAccumulator.fromBytes(before);
    truncateSync(shardPath(directory, 4), bytesOfLayer(shardPath(directory, 4), 3)[1] - 1);
    await expectCode(t, "DATA_DAMAGED", () => last.add(file), /cut short/);
    await expectCode(t, "DATA_DAMAGED", () => last.add(file, { from: 80, to: 81 }), /cut short/);
    t.true(same(last.toBytes(), before));
});

test("what does not fit is refused, and nothing of it is added", async (t) => {
    const { file, groups, weights, activations } = await written(60, 1);
    const moments = new MomentsAccumulator(two);
    await moments.add(file, { groups, weights });
    const before = moments.toBytes();
    const add = (options: object): (() => unknown) => {
        return () => moments.add(file, options);
    };
    const changed = groups.slice();
    changed[44] = 2;
    const negative = weights.slice();
    negative[45] = -1;
    await expectCode(t, "INVALID_ARGUMENT", add({ groups: 2 }), /groups .* 0 to 1/);
    await expectCode(t, "INVALID_ARGUMENT", add({ groups: changed }), /groups\[44\] is 2/);
    await expectCode(t, "INVALID_ARGUMENT", add({ weights: negative }), /weights\[45\] is -1/);
    await expectCode(t, "WIDTH_MISMATCH", add({ groups, from: 1 }), /60 values for 59 rows/);
    await expectCode(t, "WIDTH_MISMATCH", add({ weights, to: 59 }), /60 values for 59 rows/);
    for (const range of [{ from: -1 }, { to: 61 }, { from: 5, to: 4 }, { from: 0.5 }, { to: Number.NaN }]) {
        await expectCode(t, "INVALID_ARGUMENT", add(range), /from and to/);
    }
    const rightSomewhere = (value: unknown): boolean =>
        typeof value === "number" || ArrayBuffer.isView(value) || value instanceof AbortSignal;
    for (const option of ["from", "to", "groups", "weights", "signal"]) {
        for (const [name, wrong] of wrongValues(rightSomewhere)) {
            t.true((await failureOf(add({ [option]: wrong }))) instanceof SteerError, `${option}: ${name}`);
        }
    }
    const mixed = { from: 0 } as object;
    await expectCode(t, "INVALID_ARGUMENT", () => moments.add(activations, mixed), /capture files/);
    t.true(same(moments.toBytes(), before));
    const other = (options: object): MomentsAccumulator => new MomentsAccumulator({ ...two, ...options });
    await expectCode(t, "LAYER_OUT_OF_RANGE", () => other({ layers: [1, 9] }).add(file), /no layer 9/);
    await expectCode(t, "WIDTH_MISMATCH", () => other({ width: 64 }).add(file), /128 .* 64/);

    const broken = activations.copy();
    const directory = join(folder.path, "broken");
    broken.layer(3)[45 * width + 7] = Number.POSITIVE_INFINITY;
    const { site } = broken;
    const writer = await CaptureFileWriter.open(directory, { site, layers: broken.layers, width, shardBytes: 40_000 });
    await writer.append(broken);
    await writer.close();
    const infinite = await CaptureFile.open(directory);
    const message = /layer 3: rows\[row 45, column 7\] is infinity/;
    await expectCode(t, "NOT_FINITE", () => moments.add(infinite), message);
    await expectCode(t, "NOT_FINITE", () => moments.add(infinite, { from: 44 }), message);
    t.true(same(moments.toBytes(), before));
    await moments.add(infinite, { from: 46 });
});
