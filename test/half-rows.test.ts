import test from "ava";
import { type Activations, type Context, SteeringVector, type TokenSelection } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { fromHalf, toHalf } from "./support/half.js";
import { activationsOf } from "./support/numbered-activations.js";
import { sameBits } from "./support/rows.js";
import { chatContext, question, questions } from "./support/testbed.js";

const width = 128;
const layers = [0, 3, 7];

/** Elements of half rows that are not the float rows rounded, as text. */
function wronglyRounded(halves: Activations, floats: Activations): string[] {
    return halves.layers.flatMap((layer) => {
        const [rounded, exact] = [halves.raw(layer), floats.layer(layer)];
        if (rounded.length !== exact.length || exact.length === 0) {
            return [`layer ${layer}: ${rounded.length} elements for ${exact.length}`];
        }
        return Array.from(exact).flatMap((each, i) =>
            rounded[i] === toHalf(each) ? [] : [`layer ${layer} element ${i}: ${each} became ${rounded[i]}`],
        );
    });
}

async function evaluateQuestion(context: Context, logits: "last" | "all" = "last"): Promise<void> {
    const sequence = context.sequence();
    await sequence.evaluate(context.model.encodePrompt(question(questions[0])), { logits });
    await sequence.dispose();
}

test("the reference rounds as IEEE 754 does", (t) => {
    for (const [value, bits] of [
        [0, 0x0000],
        [-0, 0x8000],
        [1, 0x3c00],
        [-2, 0xc000],
        [65504, 0x7bff],
        [65519.99, 0x7bff],
        [65520, 0x7c00],
        [2 ** -14, 0x0400],
        [2 ** -24, 0x0001],
        [2 ** -25, 0x0000],
        [3 * 2 ** -25, 0x0002],
        [1 + 2 ** -11, 0x3c00],
        [1 + 3 * 2 ** -11, 0x3c02],
        [2 - 2 ** -12, 0x4000],
        [Number.NEGATIVE_INFINITY, 0xfc00],
    ] as const) {
        t.is(toHalf(value), bits, `${value}`);
    }
});

test("every half-precision number is read as what it stands for", (t) => {
    const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const labels = { sequence: new Int32Array(256), position: new Int32Array(256), token: new Int32Array(256) };
    const activations = activationsOf("residual", [4], 256, 256, all, [labels]);
    t.is(activations.type, "f16");
    const floats = activations.layer(4);
    t.true(floats instanceof Float32Array);
    const expected = Float32Array.from(all, fromHalf);
    const wrong = (found: ArrayLike<number>, begin = 0): number =>
        Array.from(found).findIndex((each, i) => !Object.is(each, expected[begin + i]));
    t.is(wrong(floats), -1);
    t.is(wrong(activations.row(4, 77), 77 * 256), -1);
    t.is(wrong(activations.packed()), -1);
    t.is(wrong(activations.copy().data), -1);
});

test("half rows are the float rows rounded to nearest, ties to even, for every selection", async (t) => {
    for (const batchSize of [512, 5]) {
        const context = await chatContext({ batchSize });
        const selections: TokenSelection[] = ["all", "prompt", "outputs", { positions: [2, -1] }];
        selections.push({ between: ["<|im_start|>", "<|im_end|>"] });
        const pairs = selections.map((rows) => ({
            halves: context.capture({ layers, rows, type: "f16", capacity: 32 }),
            floats: context.capture({ layers, rows, capacity: 32 }),
        }));
        for (const logits of ["last", "all"] as const) {
            await evaluateQuestion(context, logits);
            for (const { halves, floats } of pairs) {
                t.is(halves.type, "f16");
                t.true(halves.data instanceof Uint16Array);
                t.true(halves.data.buffer instanceof SharedArrayBuffer);
                t.is(halves.data.byteLength * 2, floats.data.byteLength, "half the memory");
                for (const layer of layers) {
                    t.deepEqual(halves.labels(layer), floats.labels(layer));
                }
                t.deepEqual(wronglyRounded(halves, floats), []);
            }
        }
        await context.dispose();
    }
});

test("half rows keep 11 bits: a relative error of 2^-11 at most for normal numbers", async (t) => {
    const context = await chatContext();
    const halves = context.capture({ layers, type: "f16" });
    const floats = context.capture({ layers });
    await evaluateQuestion(context, "all");
    let [largest, normal] = [0, 0];
    for (const layer of layers) {
        const rounded = halves.layer(layer);
        for (const [i, each] of floats.layer(layer).entries()) {
            if (Math.abs(each) >= 2 ** -14) {
                normal++;
                largest = Math.max(largest, Math.abs((rounded[i] as number) - each) / Math.abs(each));
            }
        }
    }
    t.true(normal > 0.99 * layers.length * 17 * width);
    t.true(largest <= 2 ** -11, `${largest}`);
    t.true(largest > 2 ** -13, "they are rounded");
    await context.dispose();
});

test("numbers that half precision cannot hold become infinite, and tiny ones lose bits", async (t) => {
    const context = await chatContext();
    const halves = context.capture({ layers: 7, type: "f16" });
    const floats = context.capture({ layers: 7 });
    const sequence = context.sequence();
    const tokens = Int32Array.of(5, 6, 7);
    await sequence.evaluate(tokens, { logits: "last" });
    // Takes the row to numbers of every size, within a rounding of it.
    const row = floats.row(7, 0);
    const wanted = Float32Array.from(row, (_, i) => (i % 2 === 0 ? 1 : -1) * 2 ** (i / 3 - 24));
    const vector = new SteeringVector(
        [7],
        wanted.map((each, i) => each - (row[i] as number)),
    );
    sequence.steer(vector);
    await sequence.clear();
    await sequence.evaluate(tokens, { logits: "last" });
    t.deepEqual(wronglyRounded(halves, floats), []);
    const values = [...halves.row(7, 0)].map(Math.abs);
    t.true(values.some((each) => each === Number.POSITIVE_INFINITY));
    t.true(values.some((each) => each > 0 && each < 2 ** -14));
    await context.dispose();
});

test("views of half rows are raw bits; layer, row, copy and packed give floats", async (t) => {
    const context = await chatContext();
    const halves = context.capture({ layers: [1, 3], type: "f16", capacity: 3 });
    const floats = context.capture({ layers: [1, 3], capacity: 3 });
    const sequence = context.sequence();
    await sequence.evaluate(Int32Array.of(5, 6, 7));
    const expected = floats.packed().map((each) => fromHalf(toHalf(each)));
    const packed = halves.packed();
    t.true(packed instanceof Float32Array);
    t.true(sameBits(packed, expected));
    t.is(halves.raw(3).buffer, halves.data.buffer);
    const layer = halves.layer(3);
    t.true(sameBits(layer, expected.subarray(3 * width)));
    t.true(sameBits(halves.row(3, 2), layer.subarray(2 * width)));
    const copy = halves.copy();
    t.is(copy.type, "f32");
    t.true(copy.data instanceof Float32Array);
    t.deepEqual(copy.labels(3), halves.labels(3));
    await sequence.evaluate(Int32Array.of(300));
    t.true(sameBits(copy.data as Float32Array, expected), "later evaluations do not change copies");
    t.true(sameBits(layer, expected.subarray(3 * width)));
    t.is(halves.rowCount(3), 1);
    await context.dispose();
});

test("half rows go into the caller's Uint16Array, wherever it begins, and nowhere else", async (t) => {
    const context = await chatContext();
    const elements = 2 * 8 * width;
    const own = context.capture({ layers: [0, 5], type: "f16" });
    for (const Memory of [ArrayBuffer, SharedArrayBuffer]) {
        for (const offset of [0, 2, 6, 64]) {
            const whole = new Uint16Array(new Memory(offset + 2 * elements + 10));
            const into = whole.subarray(offset / 2, offset / 2 + elements);
            const capture = context.capture({ layers: [0, 5], type: "f16", into });
            t.is(capture.capacity, 8);
            t.is(capture.data.buffer, into.buffer);
            const sequence = context.sequence();
            await sequence.evaluate(Int32Array.of(5, 6, 7));
            const expected = new Uint16Array(whole.length);
            expected.set(own.raw(0), offset / 2);
            expected.set(own.raw(5), offset / 2 + 8 * width);
            t.deepEqual(whole, expected, `at ${offset}`);
            await Promise.all([sequence.dispose(), capture.dispose()]);
        }
    }
    const larger = new Uint16Array(100 * width);
    const capture = context.capture({ layers: 2, type: "f16", into: larger, capacity: 3 });
    t.is(capture.data.length, 3 * width);
    await context.dispose();
});

test("the type decides which array it takes", async (t) => {
    const context = await chatContext();
    const attach = (type: unknown, into: unknown): unknown =>
        context.capture({ layers: 1, type: type as "f16", into: into as Uint16Array });
    for (const into of [new Float32Array(512), new Int16Array(512), new Uint8Array(512), new ArrayBuffer(512), [1]]) {
        await expectCode(t, "INVALID_ARGUMENT", () => attach("f16", into), /Uint16Array/);
    }
    await expectCode(t, "INVALID_ARGUMENT", () => attach("f32", new Uint16Array(512)), /Float32Array/);
    await expectCode(t, "INVALID_ARGUMENT", () => attach(undefined, new Uint16Array(512)), /Float32Array/);
    for (const type of ["f64", "F16", "half", 16, null]) {
        await expectCode(t, "INVALID_ARGUMENT", () => attach(type, new Uint16Array(512)), /"f32", "f16"/);
    }
    await expectCode(t, "BUFFER_TOO_SMALL", () => attach("f16", new Uint16Array(width - 1)), /128/);
    await expectCode(t, "BUFFER_TOO_SMALL", () => attach("f16", new Uint16Array(0)));
    const small = new Uint16Array(2 * width);
    await expectCode(t, "BUFFER_TOO_SMALL", () =>
        context.capture({ layers: 1, type: "f16", into: small, capacity: 3 }),
    );
    const detached = new Uint16Array(512);
    structuredClone(detached.buffer, { transfer: [detached.buffer] });
    await expectCode(t, "BUFFER_DETACHED", () => attach("f16", detached), /transferred/);
    const lent = new Uint16Array(512);
    attach("f16", lent);
    await expectCode(t, "BUFFER_IN_USE", () => attach("f16", lent.subarray(100)), /dispose/);
    await expectCode(t, "BUFFER_IN_USE", () => attach("f32", new Float32Array(lent.buffer)), /dispose/);
    await context.dispose();
});
