import { join } from "node:path";
import test from "ava";
import { type Activations, CaptureFile, CaptureFileWriter, fitDirection, MomentsAccumulator } from "llama-steer";
import { sameBits } from "./support/rows.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { chatContext, chatModel, questions } from "./support/testbed.js";

const layers = [1, 4, 6];
const width = 128;

/** A live capture in half precision that holds 24 rows. */
async function halfCapture(): Promise<{ halves: Activations; done: () => Promise<void> }> {
    const context = await chatContext();
    const halves = context.capture({ layers, type: "f16", capacity: 40 });
    const tokens = (await chatModel()).encodePrompt(questions.join(" ")).subarray(0, 24);
    await context.sequence().evaluate(tokens);
    return { halves, done: () => context.dispose() };
}

test("moments of half rows are those of their floats", async (t) => {
    const { halves, done } = await halfCapture();
    const [ofHalves, ofFloats] = [0, 1].map(() => new MomentsAccumulator({ layers, width }));
    await ofHalves?.add(halves);
    await ofFloats?.add(halves.copy());
    t.is(ofHalves?.count(4), 24);
    t.deepEqual(ofHalves?.mean(4), ofFloats?.mean(4));
    t.deepEqual(ofHalves?.toBytes(), ofFloats?.toBytes());
    const expected = halves.layer(6).reduce((sum, each, i) => sum + (i % width === 5 ? each / 24 : 0), 0);
    t.true(Math.abs((ofHalves?.mean(6)[5] as number) - expected) < 1e-6);
    await done();
});

test("capture files keep half rows bit for bit, and as floats", async (t) => {
    const { halves, done } = await halfCapture();
    const folder = new TemporaryFolder();
    for (const type of ["f16", "f32"] as const) {
        const directory = join(folder.path, type);
        const writer = await CaptureFileWriter.open(directory, { site: "residual", layers, width, type });
        await writer.append(halves);
        await writer.append(halves.copy());
        await writer.close();
        const file = await CaptureFile.open(directory);
        t.is(file.type, type);
        t.is(file.rows, 48);
        const read = await file.read();
        for (const layer of layers) {
            const [first, second] = [read.layer(layer).subarray(0, 24 * width), read.layer(layer).subarray(24 * width)];
            t.true(sameBits(first, halves.layer(layer)), `${type} layer ${layer}`);
            t.true(sameBits(second, halves.layer(layer)), `${type} layer ${layer} of floats`);
        }
        t.deepEqual(file.labels.position.slice(0, 24), halves.labels(1).position);
        file.dispose();
    }
    await done();
});

test("a direction is fitted from half rows", async (t) => {
    const { halves, done } = await halfCapture();
    const scores = Float32Array.from({ length: 24 }, (_, i) => (i % 3 === 0 ? 1 : -1));
    const direction = (activations: Float32Array): ReturnType<typeof fitDirection> =>
        fitDirection({ activations, layers, scores });
    const [ofHalves, ofFloats] = [await direction(halves.packed()), await direction(halves.copy().packed())];
    t.deepEqual(ofHalves.vector.data, ofFloats.vector.data);
    await done();
});
