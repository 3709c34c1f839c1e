import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import {
    type Activations,
    type Capture,
    CaptureFile,
    CaptureFileWriter,
    type Context,
    MomentsAccumulator,
    type Sequence,
    SteeringVector,
} from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { randomNumbers } from "./support/numbers.js";
import { sameBits } from "./support/rows.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { chatContext } from "./support/testbed.js";

const folder = new TemporaryFolder();
const layers = [0, 1, 2, 3, 4, 5, 6];
const site = "ffn_up";
const width = 384;
const rowsEach = 60;
const count = 8;

/** A live capture whose moments take much longer to sum than an evaluation of a few tokens takes to replace its rows. */
class Fixture {
    readonly context: Context;
    readonly capture: Capture;
    readonly sequences: readonly Sequence[];
    readonly moments = new MomentsAccumulator({ layers, width });
    readonly #random = randomNumbers(1);

    static async make(): Promise<Fixture> {
        const made = new Fixture(await chatContext({ sequences: count, batchSize: count * rowsEach }));
        await made.evaluate(rowsEach);
        return made;
    }

    private constructor(context: Context) {
        this.context = context;
        this.capture = context.capture({ site, layers });
        this.sequences = Array.from({ length: count }, () => context.sequence());
    }

    /** Replaces that many rows of each sequence. */
    async evaluate(tokens: number, signal?: AbortSignal): Promise<void> {
        const entries = this.sequences.map((sequence) => ({
            sequence,
            tokens: Int32Array.from({ length: tokens }, () => 3 + Math.floor(this.#random() * 800)),
        }));
        await this.context.evaluate(entries, signal === undefined ? {} : { signal });
    }
}

/** Runs something unawaited, and tells whether it had ended before another thing did. */
async function endsBefore(first: Promise<unknown>, second: Promise<unknown>): Promise<boolean> {
    let ended = false;
    const watched = first.then(
        () => {
            ended = true;
        },
        () => {
            ended = true;
        },
    );
    await second;
    const before = ended;
    await watched;
    return before;
}

function checkSums(t: ExecutionContext, found: MomentsAccumulator, expected: MomentsAccumulator): void {
    t.deepEqual(Buffer.compare(found.toBytes(), expected.toBytes()), 0);
}

test("an evaluation waits for moments that are still being summed", async (t) => {
    const fixture = await Fixture.make();
    const { capture, moments } = fixture;
    const expected = new MomentsAccumulator({ layers, width });
    const copy = capture.copy();
    const adding = moments.add(capture);
    const evaluating = fixture.evaluate(4);
    t.true(await endsBefore(adding, evaluating));
    t.is(capture.rowCount(0), count * 4);
    t.false(sameBits(capture.row(6, 0), copy.row(6, 0)), "the rows were replaced");
    await expected.add(copy);
    checkSums(t, moments, expected);

    const next = capture.copy();
    const both = [moments.add(capture), moments.add(capture)];
    await fixture.evaluate(4);
    await Promise.all(both);
    await expected.add(next);
    await expected.add(next);
    checkSums(t, moments, expected);
    await fixture.context.dispose();
});

test("an evaluation waits for rows that are still being written to a file", async (t) => {
    const fixture = await Fixture.make();
    const { capture } = fixture;
    const copies = [];
    const directory = join(folder.path, "waiting");
    const writer = await CaptureFileWriter.open(directory, { site, layers, width, sync: "append" });
    const appended: Promise<void>[] = [];
    for (const tokens of [6, 3, 5]) {
        copies.push(capture.copy());
        const appending = writer.append(capture);
        appended.push(appending);
        t.true(await endsBefore(appending, fixture.evaluate(tokens)));
    }
    await Promise.all(appended);
    await writer.close();
    const file = await CaptureFile.open(directory);
    const read = await file.read();
    t.is(file.rows, count * (rowsEach + 6 + 3));
    for (const layer of layers) {
        const expected = copies.flatMap((each) => [...each.layer(layer)]);
        t.true(sameBits(read.layer(layer), Float32Array.from(expected)), `layer ${layer}`);
    }
    file.dispose();
    await fixture.context.dispose();
});

test("an evaluation goes on when the reader it waited for fails", async (t) => {
    const fixture = await Fixture.make();
    const { capture, moments, sequences } = fixture;
    const controller = new AbortController();
    const adding = moments.add(capture, { signal: controller.signal });
    const evaluating = fixture.evaluate(2);
    controller.abort();
    await expectCode(t, "ABORTED", () => adding);
    await evaluating;
    t.is(sequences[0]?.position, rowsEach + 2);
    t.is(moments.count(0), 0);

    const disposed = moments.add(capture);
    const next = fixture.evaluate(2);
    moments.dispose();
    await expectCode(t, "DISPOSED", () => disposed);
    await next;

    const large = fixture.context.capture({ layers: [2] });
    const described = { site: large.site, layers: large.layers, width: large.width };
    const writer = await CaptureFileWriter.open(join(folder.path, "failing"), { ...described, type: "f16" });
    sequences[0]?.steer(new SteeringVector([2], new Float32Array(128).fill(1e6)));
    await fixture.evaluate(2);
    const appending = writer.append(large);
    const last = fixture.evaluate(2);
    await expectCode(t, "NOT_FINITE", () => appending);
    await last;
    t.is(sequences[7]?.position, rowsEach + 8);
    await writer.close();
    await fixture.context.dispose();
});

test("an evaluation that waits can be aborted, and ends with its context", async (t) => {
    const fixture = await Fixture.make();
    const { capture, moments, sequences, context } = fixture;
    const controller = new AbortController();
    const adding = moments.add(capture);
    const evaluating = fixture.evaluate(2, controller.signal);
    controller.abort();
    await expectCode(t, "ABORTED", () => evaluating);
    await adding;
    t.is(sequences[0]?.position, rowsEach);
    await fixture.evaluate(2);
    t.is(sequences[0]?.position, rowsEach + 2);

    const again = moments.add(capture);
    const waiting = fixture.evaluate(2);
    const disposing = context.dispose();
    await expectCode(t, "DISPOSED", () => waiting);
    await Promise.all([again, disposing]);
    t.is(moments.count(0), count * (rowsEach + 2));
});

test("operations keep the order of their calls while an evaluation waits", async (t) => {
    const fixture = await Fixture.make();
    const { capture, moments, context } = fixture;
    const [a, b, c] = fixture.sequences as [Sequence, Sequence, Sequence];
    const tokens = Int32Array.of(5, 6, 7);

    const adding = moments.add(capture);
    const first = a.evaluate(tokens);
    const cleared = a.clear();
    const second = a.evaluate(tokens.subarray(0, 2));
    await Promise.all([adding, first, cleared, second]);
    t.is(a.position, 2, "cleared between the two");

    const own = tokens.slice();
    const again = moments.add(capture);
    const copied = b.evaluate(own);
    own.fill(1);
    await Promise.all([again, copied]);
    t.deepEqual(capture.labels(0).token, tokens, "token ids are copied when the call is made");

    await c.clear();
    await c.evaluate(tokens);
    const plain = capture.copy();
    await c.clear();
    const third = moments.add(capture);
    const unsteered = c.evaluate(tokens);
    c.steer(new SteeringVector([0], new Float32Array(128).fill(3)));
    await Promise.all([third, unsteered]);
    t.deepEqual(capture.layer(3).slice(), plain.layer(3).slice(), "steering takes effect from the next call on");
    c.unsteer();

    const before = a.position;
    const fourth = moments.add(capture);
    const evaluated = a.evaluate(tokens);
    const answer = await a.generate(Int32Array.of(8), { maxTokens: 1, capture: { rows: "all", layers: 0 } }).result();
    await Promise.all([fourth, evaluated]);
    t.is(answer.activations?.labels(0).position[0], before + 3, "the answer comes behind the evaluation");
    await context.dispose();
});

test("an answer captured into memory that is still being read waits for that", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const [a, b] = [context.sequence(), context.sequence()];
    const into = new Float32Array(new SharedArrayBuffer(4 * layers.length * 160 * width));
    const capture = { site, layers, rows: "all", into } as const;
    const random = randomNumbers(2);
    const prompt = (length: number): Int32Array => Int32Array.from({ length }, () => 3 + Math.floor(random() * 800));
    const moments = new MomentsAccumulator({ layers, width });
    const expected = new MomentsAccumulator({ layers, width });
    for (let round = 0; round < 3; round++) {
        await a.clear();
        const { activations } = await a.generate(prompt(150), { maxTokens: 1, capture }).result();
        const rows = activations as Activations;
        await expected.add(rows.copy());
        const adding = moments.add(rows);
        await b.clear();
        const next = b.generate(prompt(20), { maxTokens: 1, capture });
        t.true(await endsBefore(adding, next.result()));
        t.is(rows.labels(0).token.length, 150);
    }
    checkSums(t, moments, expected);

    await a.clear();
    const { activations } = await a.generate(prompt(150), { maxTokens: 1, capture }).result();
    const adding = moments.add(activations as Activations);
    const waiting = a.generate(prompt(20), { capture });
    await waiting.abort();
    await expectCode(t, "ABORTED", () => waiting.result());
    t.is(a.position, 150);
    await adding;
    await context.dispose();
});
