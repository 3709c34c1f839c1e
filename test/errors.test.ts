import test from "ava";
import { loadModel, SteerError, SteeringVector } from "llama-steer";
import { endless } from "./support/answer.js";
import { expectCode } from "./support/expect-code.js";
import { randomVector } from "./support/numbers.js";
import { chatModelPath } from "./support/paths.js";
import { chatContext, chatModel, question } from "./support/testbed.js";

const vector = new SteeringVector([1, 2], randomVector(256, 1));
const prompt = question("Where does the groso fish live?");

test("a SteerError is an Error with a code, and its cause where there is one", (t) => {
    const cause = new Error("why");
    const error = new SteerError("ABORTED", "stopped", { cause });
    t.true(error instanceof Error);
    t.is(error.name, "SteerError");
    t.is(error.code, "ABORTED");
    t.is(error.message, "stopped");
    t.is(error.cause, cause);
});

test("a prompt longer than the context is refused, and the sequence stays as it was", async (t) => {
    const context = await chatContext({ contextSize: 32 });
    const sequence = context.sequence();
    await sequence.evaluate(Int32Array.of(1, 2, 3));
    for (const length of [30, 33, 100_000]) {
        const tokens = new Int32Array(length).fill(5);
        await expectCode(t, "PROMPT_TOO_LONG", () => sequence.generate(tokens).result(), /contextSize/);
        await expectCode(t, "PROMPT_TOO_LONG", () => sequence.evaluate(tokens), /contextSize/);
    }
    t.is(sequence.position, 3);
    await sequence.evaluate(new Int32Array(29).fill(5));
    t.is(sequence.position, 32);
    await context.dispose();
});

test("an empty prompt is refused, whatever its form", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    for (const empty of ["", new Int32Array(0), []] as const) {
        await expectCode(t, "PROMPT_EMPTY", () => sequence.generate(empty).result(), /at least one/);
    }
    await expectCode(t, "PROMPT_EMPTY", () => sequence.evaluate(""), /at least one/);
    await expectCode(t, "PROMPT_EMPTY", () => sequence.evaluate(new Int32Array(0)), /at least one/);
    await expectCode(t, "PROMPT_EMPTY", () => context.evaluate([]), /at least one/);
    t.is(sequence.position, 0);
    await context.dispose();
});

test("tokens outside the vocabulary are refused", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const { vocabularySize } = context.model.info;
    for (const token of [-1, vocabularySize, 2 ** 31 - 1, -(2 ** 31)]) {
        await expectCode(
            t,
            "INVALID_ARGUMENT",
            () => sequence.generate(Int32Array.of(1, token)).result(),
            /vocabulary/,
        );
        await expectCode(t, "INVALID_ARGUMENT", () => sequence.evaluate(Int32Array.of(1, token)), /vocabulary/);
    }
    const bias = new Map([[vocabularySize, 1]]);
    await expectCode(
        t,
        "INVALID_ARGUMENT",
        () => sequence.generate(prompt, { logitBias: bias }).result(),
        /vocabulary/,
    );
    for (const token of [vocabularySize, 2 ** 31 - 1]) {
        await expectCode(t, "INVALID_ARGUMENT", () => context.model.tokenizer.decode([token]));
        await expectCode(t, "INVALID_ARGUMENT", () => context.model.tokenizer.isEndOfGeneration(token));
    }
    t.is(sequence.position, 0);
    await context.dispose();
});

test("more sequences than the context has, and entries it cannot evaluate", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const [a, b] = [context.sequence(), context.sequence()];
    await expectCode(t, "TOO_MANY_SEQUENCES", () => context.sequence(), /dispose one/);
    await a.dispose();
    t.is(context.sequence().id, a.id);

    const tokens = Int32Array.of(1);
    await expectCode(t, "DISPOSED", () => context.evaluate([{ sequence: a, tokens }]));
    const twice = [b, b].map((sequence) => ({ sequence, tokens }));
    await expectCode(t, "INVALID_ARGUMENT", () => context.evaluate(twice), /twice/);
    const stranger = (await chatContext()).sequence();
    await expectCode(t, "INVALID_ARGUMENT", () => context.evaluate([{ sequence: stranger, tokens }]), /this context/);
    await Promise.all([context.dispose(), stranger.context.dispose()]);
});

test("numbers out of range", async (t) => {
    const model = await chatModel();
    const context = await chatContext();
    const sequence = context.sequence();
    for (const options of [
        { sequences: 0 },
        { sequences: 257 },
        { contextSize: 0 },
        { contextSize: 2 ** 31 },
        { batchSize: 0 },
        { batchSize: 65537 },
        { threads: 0 },
        { threads: 513 },
        { sequences: 256, contextSize: 16777216 },
    ]) {
        await expectCode(t, "INVALID_ARGUMENT", () => model.createContext(options), /sequences|Size|threads/);
    }
    for (const options of [
        { temperature: -1 },
        { topK: -1 },
        { topP: 0 },
        { topP: 1.1 },
        { minP: -0.1 },
        { minP: 1.1 },
        { repeatPenalty: 0 },
        { repeatPenalty: -1 },
        { repeatLast: -1 },
        { maxTokens: 0 },
        { seed: -1 },
        { seed: 2 ** 32 },
    ]) {
        const [name] = Object.keys(options);
        await expectCode(
            t,
            "INVALID_ARGUMENT",
            () => sequence.generate(prompt, options).result(),
            new RegExp(name ?? ""),
        );
    }
    await context.dispose();
});

test("layers that the model, the vector or the capture has not", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const tooHigh = new SteeringVector([7, 8], randomVector(256, 1));
    await expectCode(t, "LAYER_OUT_OF_RANGE", () => sequence.steer(tooHigh), /0 to 7/);
    for (const layers of [8, [0, 8], -1]) {
        await expectCode(t, "LAYER_OUT_OF_RANGE", () => context.capture({ layers }), /0 to 7/);
    }
    for (const layer of [0, 3]) {
        await expectCode(t, "LAYER_OUT_OF_RANGE", () => vector.layer(layer), /1 to 2/);
        await expectCode(t, "LAYER_OUT_OF_RANGE", () => vector.select(layer), /1 to 2/);
        await expectCode(t, "LAYER_OUT_OF_RANGE", () => sequence.steer(vector, { layers: [1, layer] }), /1 to 2/);
    }
    const capture = context.capture({ layers: [2, 4] });
    await expectCode(t, "LAYER_OUT_OF_RANGE", () => capture.layer(3));
    await expectCode(t, "INVALID_ARGUMENT", () => context.capture({ layers: [1, 1] }), /twice/);
    await expectCode(t, "INVALID_ARGUMENT", () => context.capture({ layers: [] }));
    await expectCode(t, "SITE_UNKNOWN", () => context.capture({ site: "toString" }), /residual/);
    t.deepEqual(sequence.steering, []);
    await sequence.generate(prompt, { maxTokens: 1 }).result();
    await context.dispose();
});

test("vectors of the wrong length or width", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    for (const width of [127, 129, 1]) {
        const wrong = new SteeringVector([0, 1], randomVector(2 * width, 1));
        await expectCode(t, "WIDTH_MISMATCH", () => sequence.steer(wrong), /128/);
    }
    await expectCode(t, "WIDTH_MISMATCH", () => new SteeringVector([0, 1], new Float32Array(255)), /2 layers/);
    await expectCode(t, "WIDTH_MISMATCH", () => new SteeringVector([0], new Float32Array(0)));
    await expectCode(t, "INVALID_ARGUMENT", () => new SteeringVector([1, 0], new Float32Array(256)), /ascending/);
    t.deepEqual(sequence.steering, []);
    await context.dispose();
});

test("NaN and infinity are refused, and nothing of the call is applied", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const steering = sequence.steer(vector, { strength: 0.5 });
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e39]) {
        const data = randomVector(256, 1);
        data[200] = bad;
        await expectCode(t, "NOT_FINITE", () => new SteeringVector([1, 2], data), /200/);
        await expectCode(t, "NOT_FINITE", () => sequence.steer(vector, { strength: bad }));
        await expectCode(t, "NOT_FINITE", () => {
            steering.strength = bad;
        });
        await expectCode(t, "NOT_FINITE", () => sequence.generate(prompt, { temperature: bad }).result());
        await expectCode(t, "NOT_FINITE", () => sequence.generate(prompt, { repeatPenalty: bad }).result());
        if (bad !== Number.NEGATIVE_INFINITY) {
            const logitBias = new Map([[1, bad]]);
            await expectCode(t, "NOT_FINITE", () => sequence.generate(prompt, { logitBias }).result());
        }
    }
    t.deepEqual(sequence.steering, [steering]);
    t.is(steering.strength, 0.5);
    t.is((await sequence.generate(prompt, { maxTokens: 3 }).result()).tokens.length, 3);
    await context.dispose();
});

test("a sequence that is generating is busy for everything else", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const running = sequence.generate(prompt, { logitBias: await endless() });
    await running[Symbol.asyncIterator]().next();
    await expectCode(t, "SEQUENCE_BUSY", () => sequence.generate(prompt).result(), /abort/);
    await expectCode(t, "SEQUENCE_BUSY", () => sequence.evaluate(Int32Array.of(1)), /abort/);
    await expectCode(t, "SEQUENCE_BUSY", () => sequence.clear(), /abort/);
    await running.abort();
    t.true(running.ended);
    t.is((await running.abort()) === undefined, true, "aborting twice does nothing");
    await sequence.dispose();
    await context.dispose();
});

test("disposing a sequence ends its answer and gives the place back", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const running = sequence.generate(prompt, { logitBias: await endless() });
    await running[Symbol.asyncIterator]().next();
    await expectCode(t, "SEQUENCE_BUSY", () => sequence.generate(prompt).result(), /abort/);
    await sequence.dispose();
    await expectCode(t, "ABORTED", () => running.result());
    const next = context.sequence();
    t.is(next.id, sequence.id);
    t.is(next.position, 0);
    t.is((await next.generate(prompt, { maxTokens: 3 }).result()).tokens.length, 3);
    await context.dispose();
});

test("bad metadata keys, chat templates and messages", async (t) => {
    const model = await loadModel(chatModelPath);
    t.is(model.metadata("no.such.key"), undefined);
    t.is(model.metadata("general.architecture"), "qwen3");
    t.true(model.hasChatTemplate);
    await expectCode(t, "PROMPT_EMPTY", () => model.applyChatTemplate([]), /at least one/);
    await model.dispose();
});
