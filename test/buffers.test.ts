import test from "ava";
import { SteeringVector } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { chatContext } from "./support/testbed.js";

const tokens = Int32Array.of(1, 2, 3);
const vocabularySize = 899;
const rowFloats = 128;

/** What `into` may be besides a Float32Array over plain memory. */
function resizable(): Float32Array {
    const options = { maxByteLength: 1 << 20 };
    const buffer = Reflect.construct(ArrayBuffer, [1 << 19, options]) as ArrayBuffer;
    return new Float32Array(buffer);
}

function detached(floats: number): Float32Array {
    const array = new Float32Array(floats);
    structuredClone(array.buffer, { transfer: [array.buffer] });
    return array;
}

/** Newer versions of Node refuse to transfer memory that is marked, older ones send a copy. */
function tryToTransfer(buffer: ArrayBuffer): void {
    try {
        structuredClone(buffer, { transfer: [buffer] });
    } catch (error) {
        if (!(error instanceof DOMException && error.name === "DataCloneError")) {
            throw error;
        }
    }
}

test("logits go into the caller's memory, plain or shared, and nowhere else", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const expected = await sequence.evaluate(tokens, { logits: "all" });
    t.is(expected.logits.length, 3 * vocabularySize);
    t.is(expected.logitsRows, 3);
    for (const buffer of [new ArrayBuffer(20_000), new SharedArrayBuffer(20_000)]) {
        const into = new Float32Array(buffer, 8, 3 * vocabularySize + 5);
        await sequence.clear();
        const { logits, logitsRows } = await sequence.evaluate(tokens, { logits: "all", into });
        t.is(logits.buffer, buffer);
        t.is(logits.byteOffset, 8);
        t.is(logitsRows, 3);
        t.deepEqual(logits.slice(), expected.logits);
        t.deepEqual(into.slice(-5), new Float32Array(5));
        t.deepEqual(new Float32Array(buffer, 0, 2), new Float32Array(2));
    }
    await context.dispose();
});

test("too small and detached buffers are refused, and nothing is evaluated", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const evaluate = (into: Float32Array): unknown => sequence.evaluate(tokens, { logits: "all", into });
    await expectCode(t, "BUFFER_TOO_SMALL", () => evaluate(new Float32Array(3 * vocabularySize - 1)), /2697/);
    await expectCode(t, "BUFFER_TOO_SMALL", () => evaluate(new Float32Array(0)));
    await expectCode(t, "BUFFER_DETACHED", () => evaluate(detached(3 * vocabularySize)), /transferred/);
    await expectCode(t, "INVALID_ARGUMENT", () => evaluate(resizable()), /resizable/);

    const attach = (into: Float32Array, capacity?: number): unknown =>
        context.capture({ layers: [1, 2], into, ...(capacity === undefined ? {} : { capacity }) });
    await expectCode(t, "BUFFER_TOO_SMALL", () => attach(new Float32Array(2 * rowFloats - 1)), /256/);
    await expectCode(t, "BUFFER_TOO_SMALL", () => attach(new Float32Array(0)));
    await expectCode(t, "BUFFER_TOO_SMALL", () => attach(new Float32Array(4 * rowFloats), 3), /768/);
    await expectCode(t, "BUFFER_DETACHED", () => attach(detached(1000)), /transferred/);
    await expectCode(t, "BUFFER_DETACHED", () => attach(detached(1000), 3), /transferred/);
    await expectCode(t, "INVALID_ARGUMENT", () => attach(resizable()), /resizable/);

    await expectCode(t, "BUFFER_DETACHED", () => {
        const data = new Float32Array(rowFloats);
        const vector = new SteeringVector([1], data);
        structuredClone(data.buffer, { transfer: [data.buffer] });
        sequence.steer(vector);
    });
    await expectCode(t, "BUFFER_DETACHED", () => {
        const prompt = Int32Array.of(1, 2);
        structuredClone(prompt.buffer, { transfer: [prompt.buffer] });
        return sequence.generate(prompt).result();
    });
    t.is(sequence.position, 0);
    await sequence.evaluate(tokens);
    t.is(sequence.position, 3);
    await context.dispose();
});

test("a capacity takes only its share of larger memory", async (t) => {
    const context = await chatContext();
    const into = new Float32Array(100 * rowFloats);
    const capture = context.capture({ layers: [1, 2], into, capacity: 3 });
    t.is(capture.capacity, 3);
    t.is(capture.data.length, 2 * 3 * rowFloats);
    t.is(capture.data.buffer, into.buffer);
    await context.sequence().evaluate(tokens);
    t.deepEqual(into.slice(3 * rowFloats, 6 * rowFloats), capture.layer(2).slice());
    t.true(into.slice(6 * rowFloats).every((each) => each === 0));
    await context.dispose();
});

test("memory lent to a capture cannot be lent again, until it is disposed of", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const buffer = new SharedArrayBuffer(4 * 10_000);
    const into = new Float32Array(buffer, 0, 4 * rowFloats);
    const capture = context.capture({ layers: 1, into });
    const overlapping = new Float32Array(buffer, 4 * (4 * rowFloats - 1), 5000);
    await expectCode(t, "BUFFER_IN_USE", () => context.capture({ layers: 1, into }), /dispose/);
    await expectCode(t, "BUFFER_IN_USE", () => context.capture({ layers: 1, into: overlapping }));
    await expectCode(t, "BUFFER_IN_USE", () => sequence.evaluate(tokens, { logits: "last", into: overlapping }));
    t.is(sequence.position, 0);

    const beside = context.capture({ layers: 1, into: new Float32Array(buffer, 4 * 4 * rowFloats, 4 * rowFloats) });
    await sequence.evaluate(tokens);
    t.deepEqual(beside.layer(1).slice(), capture.layer(1).slice());

    await capture.dispose();
    await context.capture({ layers: 1, into }).dispose();
    const last = context.capture({ layers: 1, into });
    await context.dispose();
    const other = await chatContext();
    t.is(other.capture({ layers: 1, into: last.data }).capacity, 4, "disposing the context gave it back as well");
    await other.dispose();
});

test("memory lent to an evaluation cannot be lent again, until it is done", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const [a, b] = [context.sequence(), context.sequence()];
    const into = new Float32Array(vocabularySize);
    const first = a.evaluate(tokens, { logits: "last", into });
    await expectCode(t, "BUFFER_IN_USE", () => b.evaluate(tokens, { logits: "last", into }), /wait/);
    await first;
    await b.evaluate(tokens, { logits: "last", into });
    await expectCode(t, "PROMPT_EMPTY", () => b.evaluate(new Int32Array(0), { logits: "last", into }));
    await b.evaluate(tokens, { logits: "last", into });
    await context.dispose();
});

test("lent memory cannot be transferred away from under the native writer", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const logits = new Float32Array(vocabularySize);
    const work = sequence.evaluate(tokens, { logits: "last", into: logits });
    tryToTransfer(logits.buffer);
    await work;
    t.is(logits.length, vocabularySize);

    const rows = new Float32Array(8 * rowFloats);
    const capture = context.capture({ layers: 1, into: rows });
    tryToTransfer(rows.buffer);
    await sequence.evaluate(tokens);
    t.is(capture.rowCount(1), 3);
    t.true(rows.some((each) => each !== 0));
    await context.dispose();
});

test("token ids are copied when the call is made", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const expected = await sequence.evaluate(tokens, { logits: "last" });
    await sequence.clear();
    const own = tokens.slice();
    const work = sequence.evaluate(own, { logits: "last" });
    structuredClone(own.buffer, { transfer: [own.buffer] });
    t.deepEqual((await work).logits, expected.logits);
    await context.dispose();
});
