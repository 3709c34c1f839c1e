import test from "ava";
import {
    type Activations,
    type CaptureOptions,
    type Generation,
    type GenerationOptions,
    type SteerError,
    SteeringVector,
} from "llama-steer";
import { endless } from "./support/answer.js";
import { expectCode } from "./support/expect-code.js";
import { maxDifference } from "./support/numbers.js";
import { positionsAt, rowAt, sameBits } from "./support/rows.js";
import { chatContext, chatModel, question, questions } from "./support/testbed.js";

const width = 128;
const promptTokens = 17;
const prompt = async (): Promise<Int32Array> => (await chatModel()).encodePrompt(question(questions[0]));

test("several answers at once are each captured as they asked, beside live captures, which stay as they are", async (t) => {
    const context = await chatContext({ sequences: 4 });
    const asked: readonly CaptureOptions[] = [
        { rows: "generated", layers: [2, 7] },
        { rows: "all", layers: { from: 1, to: 3 }, type: "f16" },
        { rows: { positions: [-1, 18] }, site: "mlp_out" },
    ];
    const alone: Activations[] = [];
    const answers: Int32Array[] = [];
    for (const [i, capture] of asked.entries()) {
        const sequence = context.sequence();
        const result = await sequence.generate(question(questions[i] as string), { maxTokens: 9, capture }).result();
        alone.push((result.activations as Activations).copy());
        answers.push(result.tokens);
        await sequence.dispose();
    }

    const live = [context.capture({ layers: [2, 5] }), context.capture({ layers: 1, rows: "last-prompt" })];
    const watched = context.sequence();
    await watched.evaluate(Int32Array.of(5, 6, 7), { logits: "all" });
    const before = live.map((each) => each.copy());
    const raw = live.map((each) => each.data.slice());
    const running = asked.map((capture, i) =>
        context.sequence().generate(question(questions[i] as string), { maxTokens: 9, capture }),
    );
    for (const [i, generation] of running.entries()) {
        const { activations, tokens } = await generation.result();
        t.deepEqual(tokens, answers[i]);
        const [together, own] = [activations as Activations, alone[i] as Activations];
        t.is(together.site, own.site);
        t.deepEqual(together.layers, own.layers);
        for (const layer of own.layers) {
            t.deepEqual(together.labels(layer).token, own.labels(layer).token);
            t.true(together.labels(layer).sequence.every((each) => each === i + 1));
            const rows = own.layer(layer);
            const scale = rows.reduce((largest, each) => Math.max(largest, Math.abs(each)), 0);
            t.true(maxDifference(together.layer(layer), rows) < 3e-2 * scale, `answer ${i} layer ${layer}`);
        }
    }
    t.deepEqual(
        live.map((each) => each.copy()),
        before,
    );
    t.deepEqual(
        live.map((each) => each.data),
        raw,
    );
    await watched.evaluate(Int32Array.of(8, 9));
    t.deepEqual(positionsAt(live[0] as Activations, 5), [3, 4], "and take part in evaluations again");
    await context.dispose();
});

test("evaluations between the steps of a captured answer do not disturb it", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const [a, b] = [context.sequence(), context.sequence()];
    const capture = { rows: "all", layers: [3] } as const;
    const plain = await a.generate(await prompt(), { maxTokens: 12, capture }).result();
    await a.clear();
    const live = context.capture({ layers: [3] });
    const generation = a.generate(await prompt(), { maxTokens: 12, capture });
    let seen = 0;
    for await (const _ of generation) {
        seen++;
        await b.evaluate(Int32Array.of(seen, seen + 1));
        t.deepEqual(positionsAt(live, 3, b.id).length, 2);
        t.deepEqual(positionsAt(live, 3, a.id), [], "an answer's rows are not those of an evaluation");
    }
    const result = await generation.result();
    t.deepEqual(result.tokens, plain.tokens);
    t.true(sameBits((result.activations as Activations).layer(3), (plain.activations as Activations).layer(3)));
    await context.dispose();
});

test("rows of a steered answer are what the next layer reads", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const vector = new SteeringVector([2], new Float32Array(width).fill(0.25));
    const run = async (): Promise<Activations> => {
        await sequence.clear();
        const capture = { rows: "all", layers: [2] } as const;
        const result = await sequence.generate(await prompt(), { maxTokens: 1, capture }).result();
        return result.activations as Activations;
    };
    const plain = await run();
    sequence.steer(vector, { tokens: { positions: [3, -1] } });
    const steered = await run();
    for (let position = 0; position < promptTokens; position++) {
        const change = position === 3 || position === 16 ? 0.25 : 0;
        const expected = rowAt(plain, 2, position).map((each) => each + change);
        t.true(maxDifference(rowAt(steered, 2, position), expected) < 1e-5, `position ${position}`);
    }
    await context.dispose();
});

test("a capture too small for what may come is refused at once, and the sequence stays usable", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    await sequence.evaluate(Int32Array.of(1, 2, 3));
    const tokens = await prompt();
    for (const [capture, needed] of [
        [{ rows: "generated", capacity: 8 }, 9],
        [{ rows: "all", capacity: 25 }, 26],
        [{ rows: { positions: [5, -1, 21] }, capacity: 2 }, 3],
        [{ rows: "prompt", capacity: 16 }, 17],
    ] as const) {
        const decodes = context.statistics.decodes;
        const into = new Float32Array(8 * capture.capacity * width);
        const refused = sequence.generate(tokens, { maxTokens: 10, capture: { ...capture, into } });
        await expectCode(t, "BUFFER_TOO_SMALL", () => refused.result(), new RegExp(`${needed} rows.*capacity`));
        t.is(context.statistics.decodes, decodes, "nothing was computed");
        t.is(sequence.position, 3);
        t.true(into.every((each) => each === 0));
        const enough = { ...capture, capacity: needed };
        const result = await sequence.generate(tokens, { maxTokens: 10, capture: enough }).result();
        t.is(result.activations?.capacity, needed);
        await sequence.truncate(3);
    }
    await context.dispose();
});

test("rows go into the caller's memory, lent until the answer has ended", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const [a, b] = [context.sequence(), context.sequence()];
    const elements = 2 * 30 * width;
    for (const [type, Elements] of [
        ["f32", Float32Array],
        ["f16", Uint16Array],
    ] as const) {
        for (const Memory of [ArrayBuffer, SharedArrayBuffer]) {
            const whole = new Elements(new Memory((elements + 20) * Elements.BYTES_PER_ELEMENT) as ArrayBuffer);
            const into = whole.subarray(10, 10 + elements);
            const capture = { layers: [0, 4], type, into } as const;
            const own = await a.generate(await prompt(), { maxTokens: 10, capture: { layers: [0, 4], type } }).result();
            await a.clear();
            const running = a.generate(await prompt(), { maxTokens: 10, capture });
            await expectCode(t, "BUFFER_IN_USE", () => context.capture(capture));
            await expectCode(t, "BUFFER_IN_USE", () => b.generate("text", { capture }));
            t.is(b.position, 0);
            const { activations } = await running.result();
            t.is(activations?.data.buffer, whole.buffer);
            t.is(activations?.capacity, 30);
            for (const layer of [0, 4]) {
                t.deepEqual(activations?.raw(layer).slice(), own.activations?.raw(layer).slice());
            }
            const outside = [...whole.subarray(0, 10), ...whole.subarray(10 + elements)];
            t.true(
                outside.every((each) => each === 0),
                "nothing beside it is touched",
            );
            await context.capture(capture).dispose();
            await a.clear();
        }
    }
    await context.dispose();
});

test("the memory is given back however an answer ends", async (t) => {
    const context = await chatContext();
    const logitBias = await endless();
    const tokens = await prompt();
    let sequence = context.sequence();
    const capture = { rows: "last-prompt", layers: 1, into: new Float32Array(4 * width) } as const;
    const start = (options: GenerationOptions = {}): Generation =>
        sequence.generate(tokens, { logitBias, maxTokens: 200, capture, ...options });
    const aborted = (generation: Generation): Promise<unknown> => expectCode(t, "ABORTED", () => generation.result());
    /** Stops a running answer; on a busy machine one may have come to its end before, and another is begun. */
    const stopped = async (
        stop: (generation: Generation) => unknown,
        options?: () => GenerationOptions,
    ): Promise<void> => {
        for (let attempt = 0; attempt < 50; attempt++) {
            const generation = start(options?.());
            await generation[Symbol.asyncIterator]().next();
            await stop(generation);
            const error = await generation.result().then(
                () => undefined,
                (reason: unknown) => reason,
            );
            if (error !== undefined) {
                t.is((error as SteerError).code, "ABORTED");
                return;
            }
            await sequence.clear();
        }
        t.fail("no answer could be stopped");
    };

    const ends: Record<string, () => Promise<unknown>> = {
        "by itself": () => start({ maxTokens: 3 }).result(),
        "by abort": () => stopped((generation) => generation.abort()),
        "before it began": async () => {
            const generation = start();
            await generation.abort();
            await aborted(generation);
        },
        "by a signal": () => {
            let controller = new AbortController();
            return stopped(
                () => controller.abort(),
                () => {
                    controller = new AbortController();
                    return { signal: controller.signal };
                },
            );
        },
        "by a signal that had been given already": () => aborted(start({ signal: AbortSignal.abort() })),
        "by leaving the loop": async () => {
            for await (const _ of start()) {
                break;
            }
        },
        "because the sequence generates already": async () => {
            const first = sequence.generate(tokens, { logitBias });
            await expectCode(t, "SEQUENCE_BUSY", () => start().result());
            await first.abort();
        },
        "because the prompt is too long": () =>
            expectCode(t, "PROMPT_TOO_LONG", () =>
                sequence.generate(new Int32Array(300).fill(5), { capture }).result(),
            ),
        "because a token does not exist": () =>
            expectCode(t, "INVALID_ARGUMENT", () => sequence.generate(Int32Array.of(1, -1), { capture }).result()),
        "because an option is wrong": () => expectCode(t, "INVALID_ARGUMENT", () => start({ topP: 2 }).result()),
        "because the sequence is disposed": async () => {
            const generation = start();
            await sequence.dispose();
            await aborted(generation);
            sequence = context.sequence();
        },
    };
    for (const [how, end] of Object.entries(ends)) {
        await end();
        await sequence.clear();
        capture.into.fill(0);
        const { activations } = await start({ maxTokens: 1 }).result();
        t.is(activations?.rowCount(1), 1, how);
        t.true(
            capture.into.some((each) => each !== 0),
            how,
        );
        await sequence.clear();
    }
    const generation = start();
    await context.dispose();
    await expectCode(t, "DISPOSED", () => generation.result());
    const other = await chatContext();
    await other.capture(capture).dispose();
    await other.dispose();
});
