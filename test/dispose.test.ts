import test from "ava";
import { loadModel, type Model, SteeringVector } from "llama-steer";
import { endless } from "./support/answer.js";
import { expectCode } from "./support/expect-code.js";
import { randomVector } from "./support/numbers.js";
import { chatModelPath } from "./support/paths.js";
import { chatContext, chatModel, question } from "./support/testbed.js";

const prompt = question("Where does the groso fish live?");
const vector = new SteeringVector([1], randomVector(128, 1));
const tokens = Int32Array.of(1, 2, 3);

const ownModel = (): Promise<Model> => loadModel(chatModelPath);

test("a disposed model refuses its work, and so do its contexts", async (t) => {
    const model = await ownModel();
    const context = await model.createContext({ threads: 1 });
    const sequence = context.sequence();
    await model.dispose();
    await model.dispose();
    t.is(model.dispose(), model.dispose(), "disposing again is the same promise");
    await expectCode(t, "DISPOSED", () => model.createContext());
    await expectCode(t, "DISPOSED", () => model.metadata("general.name"));
    await expectCode(t, "DISPOSED", () => model.tokenizer.encode("text"));
    await expectCode(t, "DISPOSED", () => model.encodePrompt("text"));
    await expectCode(t, "DISPOSED", () => model.tokenizer.decode([123]));
    await expectCode(t, "DISPOSED", () => model.tokenizer.isEndOfGeneration(1));
    await expectCode(t, "DISPOSED", () => context.sequence());
    await expectCode(t, "DISPOSED", () => sequence.generate(prompt).result());
    t.true(context.disposed);
    t.is(model.info.layers, 8, "what it was can still be read");
});

test("a disposed context refuses its work", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const sequence = context.sequence();
    const capture = context.capture();
    const steering = sequence.steer(vector);
    t.false(context.disposed);
    const first = context.dispose();
    t.true(context.disposed);
    t.is(context.dispose(), first);
    for (const settled of [false, true]) {
        await expectCode(t, "DISPOSED", () => context.sequence());
        await expectCode(t, "DISPOSED", () => context.evaluate([{ sequence, tokens }]));
        await expectCode(t, "DISPOSED", () => context.capture());
        await expectCode(t, "DISPOSED", () => context.sites());
        await expectCode(t, "DISPOSED", () => context.statistics);
        await expectCode(t, "DISPOSED", () => sequence.generate(prompt).result());
        await expectCode(t, "DISPOSED", () => sequence.evaluate(tokens));
        await expectCode(t, "DISPOSED", () => sequence.steer(vector));
        await expectCode(t, "DISPOSED", () => sequence.unsteer());
        await expectCode(t, "DISPOSED", () => sequence.clear());
        await expectCode(t, "DISPOSED", () => sequence.truncate(0));
        await expectCode(t, "DISPOSED", () => sequence.position);
        await expectCode(t, "DISPOSED", () => {
            steering.strength = 2;
        });
        await expectCode(t, "DISPOSED", () => steering.remove());
        if (!settled) {
            await first;
        }
    }
    await Promise.all([sequence.dispose(), capture.dispose()]);
    t.is(capture.rowCount(0), 0, "what was captured can still be read");
});

test("disposing right after a call leaves no rejection that nobody can handle", async (t) => {
    for (let i = 0; i < 10; i++) {
        const context = await chatContext();
        const sequence = context.sequence();
        context.capture();
        sequence.steer(vector);
        sequence.generate(prompt);
        await context.dispose();
    }
    // The test runner fails a file with an unhandled rejection.
    await new Promise((resolve) => setImmediate(resolve));
    t.pass();
});

test("a disposed sequence refuses its work, its context goes on", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const steering = sequence.steer(vector);
    await sequence.evaluate(tokens);
    const first = sequence.dispose();
    t.is(sequence.dispose(), first);
    await first;
    await expectCode(t, "DISPOSED", () => sequence.generate(prompt).result(), /sequence/);
    await expectCode(t, "DISPOSED", () => sequence.evaluate(tokens));
    await expectCode(t, "DISPOSED", () => sequence.steer(vector));
    await expectCode(t, "DISPOSED", () => sequence.position);
    await expectCode(t, "DISPOSED", () => sequence.clear());
    await expectCode(t, "DISPOSED", () => steering.remove());
    t.is(context.sequence().position, 0);
    await context.dispose();
});

test("a disposed capture gets nothing more, the evaluation goes on", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const [ended, other] = [context.capture(), context.capture()];
    await sequence.evaluate(tokens);
    const kept = ended.copy();
    await ended.dispose();
    await ended.dispose();
    await sequence.evaluate(Int32Array.of(300, 301));
    t.deepEqual(ended.copy(), kept);
    t.is(other.rowCount(0), 2);
    await context.dispose();
});

test("disposing while generating ends the generation with DISPOSED", async (t) => {
    for (const target of ["context", "model"] as const) {
        const model = await ownModel();
        const context = await model.createContext({ sequences: 3, threads: 1 });
        const logitBias = await endless();
        const running = [1, 2, 3].map(() => context.sequence().generate(prompt, { logitBias }));
        await running[0]?.[Symbol.asyncIterator]().next();
        const disposed = target === "model" ? model.dispose() : context.dispose();
        for (const generation of running) {
            await expectCode(t, "DISPOSED", () => generation.result(), /disposed/);
            await expectCode(t, "DISPOSED", async () => {
                for await (const _ of generation) {
                    // To its end.
                }
            });
        }
        await disposed;
        await model.dispose();
    }
});

test("disposing while evaluating waits for the one in flight and rejects those queued", async (t) => {
    const context = await chatContext({ sequences: 8 });
    const sequences = Array.from({ length: 8 }, () => context.sequence());
    const long = new Int32Array(200).fill(5);
    const work = sequences.map((sequence) => sequence.evaluate(long, { logits: "all" }));
    const settled = Promise.allSettled(work);
    await context.dispose();
    const outcomes = (await settled).map((each) =>
        each.status === "fulfilled" ? "done" : (each.reason as { code?: string }).code,
    );
    t.true(
        outcomes.every((each) => each === "done" || each === "DISPOSED"),
        outcomes.join(),
    );
    t.is(outcomes.at(-1), "DISPOSED");
    t.false(outcomes.slice(outcomes.indexOf("DISPOSED")).includes("done"), "in call order");
});

test("disposing a model while it makes a context leaves neither", async (t) => {
    const model = await ownModel();
    const making = model.createContext({ threads: 1 });
    const settled = expectCode(t, "DISPOSED", () => making);
    await model.dispose();
    await settled;
});

test("objects are disposed of by await using's method", async (t) => {
    const model = await ownModel();
    const context = await model.createContext({ threads: 1 });
    const sequence = context.sequence();
    const capture = context.capture();
    for (const each of [capture, sequence, context, model]) {
        t.is(await each[Symbol.asyncDispose](), undefined);
    }
    await expectCode(t, "DISPOSED", () => model.createContext());
});

test("contexts of one model work side by side, and disposing one leaves the others", async (t) => {
    const model = await chatModel();
    const contexts = await Promise.all([1, 2, 3].map(() => model.createContext({ threads: 1, sequences: 2 })));
    const ask = async (which: typeof contexts): Promise<string[]> => {
        const results = await Promise.all(which.map((each) => each.sequence().generate(prompt).result()));
        return results.map((each) => each.text);
    };
    const [answer, ...others] = await ask(contexts);
    t.deepEqual(others, [answer, answer]);
    await contexts[0]?.dispose();
    t.deepEqual(await ask(contexts.slice(1)), [answer, answer]);
    await Promise.all(contexts.map((each) => each.dispose()));
});

test("the place of a sequence that generates nothing is free at once, and empty for whoever takes it", async (t) => {
    const context = await chatContext({ sequences: 1 });
    const first = context.sequence();
    t.is(context.freeSequences, 0);
    await first.evaluate(Int32Array.of(1, 2, 3));
    const gone = first.dispose();
    t.is(context.freeSequences, 1);
    const second = context.sequence();
    t.is(second.id, first.id);
    t.is(second.position, 0);
    const { text } = await second.generate(prompt, { maxTokens: 8 }).result();
    await gone;
    t.true(second.position > 3);
    const third = await chatContext({ sequences: 1 });
    t.is((await third.sequence().generate(prompt, { maxTokens: 8 }).result()).text, text);
    // Given back again and again before anything has run.
    for (let i = 0; i < 3; i++) {
        const each = context.freeSequences === 0 ? second : context.sequence();
        void each.evaluate(Int32Array.of(1, 2));
        void each.dispose();
    }
    const last = context.sequence();
    t.is((await last.generate(prompt, { maxTokens: 8 }).result()).text, text);
    await context.dispose();
    await third.dispose();
});
