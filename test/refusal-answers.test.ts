import { readFileSync } from "node:fs";
import test from "ava";
import { loadModel, type Sequence, SteeringVector } from "llama-steer";
import {
    type Answer,
    LocalJudge,
    type RefusalEvent,
    RunDirectory,
    type SampleOptions,
    sampleAnswers,
} from "llama-steer/refusal";
import { expectCode } from "./support/expect-code.js";
import { randomNumbers } from "./support/numbers.js";
import { chatModelPath } from "./support/paths.js";
import { everyPrompt } from "./support/refusal-testbed.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { chatContext, chatModel, exactContext, question } from "./support/testbed.js";

const folder = new TemporaryFolder();
let places = 0;
const openRun = (): RunDirectory => RunDirectory.open(`${folder.path}/run-${places++}`);
const shape = { sequences: 8, unifiedMemory: false };
const short = { maxTokens: 32, samples: 2, model: "valdoria" };
const asking = (prompt: string) => [{ id: "a", prompt }];

test("K samples of each prompt in order; greedy ones as a lone generation gives them", async (t) => {
    const prompts = await everyPrompt(150);
    const context = await exactContext(shape);
    const answers = await sampleAnswers(context, prompts, { ...short, samples: 3 });
    t.deepEqual(
        answers.map((each) => `${each.prompt} ${each.sample}`),
        prompts.flatMap(({ id }) => [0, 1, 2].map((sample) => `${id} ${sample}`)),
    );
    const different = new Set(answers.map((each) => `${each.prompt} ${each.text}`));
    t.true(different.size > prompts.length, "samples differ");
    // A greedy answer needs no seed, and is the generation's own.
    const greedy = await sampleAnswers(context, prompts, { ...short, samples: 1, temperature: 0 });
    const sequence = context.sequence();
    for (const [i, { prompt }] of prompts.entries()) {
        const result = await sequence.generate(question(prompt), { maxTokens: 32 }).result();
        t.is(greedy[i]?.text, result.text);
        t.is(greedy[i]?.finishReason, result.finishReason);
        t.is(greedy[i]?.tokens, result.tokens.length);
        t.true(Math.abs((greedy[i]?.meanLogProbability as number) - result.meanLogProbability) < 1e-4);
        await sequence.clear();
    }
    await context.dispose();
});

test("the mean log-probability is that of the logits: ln softmax of each token, averaged", async (t) => {
    const [prompt] = await everyPrompt(1392);
    const context = await exactContext({ sequences: 1 });
    const { model } = context;
    const [answer] = await sampleAnswers(context, [prompt as { id: string; prompt: string }], {
        ...short,
        samples: 1,
        seed: 4,
    });
    const asked = model.encodePrompt(question(prompt?.prompt as string));
    const said = model.tokenizer.encode(answer?.text as string);
    t.is(said.length, answer?.tokens as number);
    const { logits } = await context.sequence().evaluate(Int32Array.of(...asked, ...said), { logits: "all" });
    const width = model.info.vocabularySize;
    let sum = 0;
    said.forEach((token, i) => {
        const row = logits.subarray((asked.length - 1 + i) * width, (asked.length + i) * width);
        const all = row.reduce((total, each) => total + Math.exp(each), 0);
        sum += (row[token] as number) - Math.log(all);
    });
    t.true(Math.abs((answer?.meanLogProbability as number) - sum / said.length) < 1e-4);
    await context.dispose();
});

test("the order of prompts and the size of batches change no answer", async (t) => {
    const prompts = await everyPrompt(60);
    const random = randomNumbers(3);
    const sorted = (answers: readonly Answer[]) =>
        answers.map((each) => `${each.prompt} ${each.sample} ${each.text}`).sort();
    const answersOf = async (list: typeof prompts, sequences: number, options: SampleOptions = {}) => {
        const context = await exactContext({ ...shape, sequences });
        const answers = await sampleAnswers(context, list, { ...short, ...options });
        await context.dispose();
        return sorted(answers);
    };
    const first = await answersOf(prompts, 8);
    const shuffled = prompts.map((each) => [random(), each] as const).sort((a, b) => a[0] - b[0]);
    t.deepEqual(
        await answersOf(
            shuffled.map(([, each]) => each),
            5,
        ),
        first,
    );
    t.deepEqual(await answersOf(prompts, 8, { batches: "refill" }), first);
    t.notDeepEqual(await answersOf(prompts, 8, { seed: 1 }), first);
});

test("in low precision, waves repeat to the last bit", async (t) => {
    const prompts = await everyPrompt(40);
    const context = await chatContext({ ...shape, sequences: 16 });
    const first = await sampleAnswers(context, prompts, short);
    t.deepEqual(await sampleAnswers(context, prompts, short), first);
    const other = await chatContext({ ...shape, sequences: 16 });
    t.deepEqual(await sampleAnswers(other, prompts, short), first);
    await Promise.all([context.dispose(), other.dispose()]);
});

test("answers of an earlier run are found; other settings, steering or another model ask again", async (t) => {
    const prompts = (await everyPrompt(100)).slice(0, 8);
    const context = await chatContext(shape);
    const run = openRun();
    const count = async (options: SampleOptions, found = 0) => {
        let computed = 0;
        const events: RefusalEvent[] = [];
        const onEvent = (event: RefusalEvent) => {
            events.push(event);
            computed += event.type === "answer" ? 1 : 0;
        };
        const answers = await sampleAnswers(context, prompts, { ...short, ...options, run, onEvent });
        const last = events.at(-1);
        t.like(last, { type: "progress", stage: "answers", done: answers.length, total: answers.length });
        t.is(last?.type === "progress" && last.found, found);
        return { computed, answers };
    };
    const first = await count({});
    t.is(first.computed, 16);
    const again = await count({}, 16);
    t.is(again.computed, 0);
    t.deepEqual(again.answers, first.answers);
    t.is((await count({ samples: 3 }, 16)).computed, 8, "only the third samples are new");
    t.is((await count({ seed: 1 })).computed, 16);
    t.is((await count({ maxTokens: 31 })).computed, 16);
    t.is((await count({ model: "other" })).computed, 16);
    t.is((await count({ system: "You are a helpful assistant." })).computed, 16);
    t.is((await count({ steering: { key: "nothing", apply: () => {} } })).computed, 16);
    t.is((await count({ temperature: 0 })).computed, 8, "greedy samples are one");
    run.close();
    await context.dispose();
});

test("progress says how full the batches were", async (t) => {
    const prompts = await everyPrompt(60);
    const context = await chatContext(shape);
    const occupancy = async (batches: "waves" | "refill") => {
        let last: RefusalEvent | undefined;
        const onEvent = (event: RefusalEvent) => {
            last = event.type === "progress" ? event : last;
        };
        await sampleAnswers(context, prompts, { ...short, batches, onEvent });
        return (last?.type === "progress" ? last.occupancy : undefined) as number;
    };
    const [waves, refill] = [await occupancy("waves"), await occupancy("refill")];
    for (const each of [waves, refill]) {
        t.true(each > 0.3 && each <= 1, `${waves} ${refill}`);
    }
    await context.dispose();
});

test("steering acts, at the last prompt token too", async (t) => {
    const model = await chatModel();
    const random = randomNumbers(9);
    const { hiddenSize } = model.info;
    const vector = new SteeringVector(
        [3],
        Float32Array.from({ length: hiddenSize }, () => random() - 0.5),
    );
    const options = { strength: 60, tokens: "last-prompt" as const };
    const prompts = await everyPrompt(200);
    const context = await exactContext(shape);
    const steering = { key: "random", apply: (each: Sequence) => void each.steer(vector, options) };
    const answers = await sampleAnswers(context, prompts, { ...short, samples: 1, temperature: 0, steering });
    const plain = await sampleAnswers(context, prompts, { ...short, samples: 1, temperature: 0 });
    t.notDeepEqual(
        answers.map((each) => each.text),
        plain.map((each) => each.text),
    );
    for (const [i, { prompt }] of prompts.entries()) {
        const sequence = context.sequence();
        sequence.steer(vector, options);
        const { text } = await sequence.generate(question(prompt), { maxTokens: 32 }).result();
        t.is(answers[i]?.text, text);
        await sequence.dispose();
    }
    await context.dispose();
});

test("reasoning is recognised in what the model writes", async (t) => {
    const context = await chatContext(shape);
    const [plain] = await sampleAnswers(context, asking("Where does the groso fish live?"), {
        ...short,
        temperature: 0,
        samples: 1,
    });
    // The model has no think block: what it says up to a word of its own stands in for one.
    const words = plain?.text.split(" ") ?? [];
    const thoughts = [{ open: words[0] as string, close: ` ${words[1]}` }];
    const [split] = await sampleAnswers(context, asking("Where does the groso fish live?"), {
        ...short,
        temperature: 0,
        samples: 1,
        thoughts,
    });
    t.is(split?.text, words.slice(2).join(" "));
    t.is(split?.thought, "");
    const [cut] = await sampleAnswers(context, asking("Where does the groso fish live?"), {
        ...short,
        temperature: 0,
        samples: 1,
        thoughts: [{ open: words[0] as string, close: "never" }],
    });
    t.like(cut, { text: "", unfinished: true });
    await context.dispose();
});

test("an aborted run keeps its finished waves, frees its sequences, and goes on", async (t) => {
    const prompts = await everyPrompt(30);
    const context = await chatContext(shape);
    const run = openRun();
    const controller = new AbortController();
    let computed = 0;
    const onEvent = (event: RefusalEvent) => {
        computed += event.type === "answer" ? 1 : 0;
        if (computed === 20) {
            controller.abort(new Error("enough"));
        }
    };
    const stopped = await expectCode(t, "ABORTED", () =>
        sampleAnswers(context, prompts, { ...short, run, onEvent, signal: controller.signal }),
    );
    t.is((stopped?.cause as Error | undefined)?.message, "enough");
    t.is(computed, 24, "the wave in which it came is kept");
    await expectCode(t, "ABORTED", () => sampleAnswers(context, prompts, { ...short, signal: AbortSignal.abort() }));
    t.is((await sampleAnswers(context, prompts, { ...short, run, onEvent })).length, 2 * prompts.length);
    t.is(computed, 2 * prompts.length, "nothing was computed twice");
    run.close();
    await context.dispose();
});

test("prompts that do not fit are refused before anything is computed", async (t) => {
    const context = await chatContext({ ...shape, contextSize: 64 });
    const prompts = [...(await everyPrompt(700)), { id: "long", prompt: "fish ".repeat(100) }];
    await expectCode(
        t,
        "PROMPT_TOO_LONG",
        () => sampleAnswers(context, prompts, short),
        /prompt long has \d+ tokens.*64/,
    );
    t.is(context.statistics.decodes, 0);
    await context.dispose();
});

test("sequences that others hold, and a context that is gone", async (t) => {
    const prompts = await everyPrompt(300);
    const context = await chatContext({ ...shape, sequences: 2 });
    const held = context.sequence();
    await expectCode(t, "TOO_MANY_SEQUENCES", () => sampleAnswers(context, prompts, short));
    await held.dispose();
    t.is((await sampleAnswers(context, prompts, short)).length, 2 * prompts.length);
    const answering = sampleAnswers(context, await everyPrompt(20), short);
    const refused = t.throwsAsync(answering, { code: "DISPOSED" });
    await context.dispose();
    await refused;
    await t.throwsAsync(sampleAnswers(context, prompts, short), { code: "DISPOSED" });
});

test("a model without a chat template is refused, as one that answers and as a judge", async (t) => {
    const bytes = readFileSync(chatModelPath, "latin1").replace("tokenizer.chat_template", "tokenizer.chat_tEmplate");
    const path = folder.write("bare.gguf", Buffer.from(bytes, "latin1"));
    await using model = await loadModel(path);
    await using context = await model.createContext({ threads: 1 });
    await expectCode(t, "CHAT_TEMPLATE_MISSING", () => sampleAnswers(context, asking("Why?"), short));
    await expectCode(t, "CHAT_TEMPLATE_MISSING", () => LocalJudge.open(path, { threads: 1 }));
});

test("no prompts, no answers", async (t) => {
    const context = await chatContext(shape);
    t.deepEqual(await sampleAnswers(context, [], short), []);
    await context.dispose();
});

test("wrong options are refused by name", async (t) => {
    const context = await chatContext(shape);
    const wrong: [object, RegExp][] = [
        [{ samples: 0 }, /samples/],
        [{ samples: 1.5 }, /samples/],
        [{ temperature: -1 }, /temperature/],
        [{ temperature: Number.NaN }, /temperature/],
        [{ maxTokens: 0 }, /maxTokens/],
        [{ seed: "1" }, /seed/],
        [{ system: "" }, /system/],
        [{ batches: "full" }, /batches/],
        [{ thoughts: [{ open: "", close: "x" }] }, /thoughts/],
        [{ steering: { key: "", apply: () => {} } }, /steering\.key/],
        [{ steering: { key: "x", apply: 3 } }, /steering\.apply/],
        [{ signal: 3 }, /signal/],
        [{ onEvent: 3 }, /onEvent/],
    ];
    for (const [options, message] of wrong) {
        await expectCode(
            t,
            "INVALID_ARGUMENT",
            () => sampleAnswers(context, asking("Why?"), options as never),
            message,
        );
    }
    for (const prompts of [undefined, 3, ["Why?"], [{ id: "a" }], [{ id: 1, prompt: "Why?" }]]) {
        await expectCode(t, "INVALID_ARGUMENT", () => sampleAnswers(context, prompts as never), /prompts/);
    }
    using run = openRun();
    await expectCode(t, "INVALID_ARGUMENT", () => sampleAnswers(context, asking("Why?"), { run }), /model/);
    await context.dispose();
});
