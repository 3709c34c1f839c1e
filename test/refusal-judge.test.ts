import { copyFileSync, readFileSync } from "node:fs";
import test from "ava";
import { loadModel } from "llama-steer";
import {
    type Answer,
    checkJudge,
    type Judge,
    judgeAnswers,
    type LabelledAnswer,
    LocalJudge,
    type RefusalEvent,
    sampleAnswers,
} from "llama-steer/refusal";
import { expectCode } from "./support/expect-code.js";
import { withText } from "./support/gguf.js";
import { inRepository } from "./support/paths.js";
import {
    everyPrompt,
    judgeModelPath,
    judgePromptPath,
    looksLikeRefusal,
    refusalKindOf,
    testbedJudge,
} from "./support/refusal-testbed.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { chatContext, question } from "./support/testbed.js";

const folder = new TemporaryFolder();

/** Answers of the test-bed's chat model, with what they are by the rule. */
async function labelledAnswers(everyNth: number, samples = 1): Promise<LabelledAnswer[]> {
    const prompts = await everyPrompt(everyNth);
    const context = await chatContext({ sequences: 32, unifiedMemory: false });
    const answers = await sampleAnswers(context, prompts, { samples, maxTokens: 48 });
    await context.dispose();
    const words = new Map(prompts.map((each) => [each.id, each.prompt]));
    return answers.map(({ prompt, text }: Answer) => {
        const kind = refusalKindOf(text);
        const labelled = { question: words.get(prompt) as string, answer: text, refused: kind !== undefined };
        return { ...labelled, kind: kind ?? "answer" };
    });
}

/** Does what many evaluations do: looks for words. */
const wordJudge: Judge = {
    id: "words",
    judge: async (texts) => texts.map(({ answer }) => ({ label: looksLikeRefusal(answer) ? 1 : -1 })),
};

test("on the test-bed the judge agrees with the rule; looking for words misses deflections and narratives", async (t) => {
    const examples = await labelledAnswers(3);
    t.true(examples.length > 400);
    await using judge = await testbedJudge();
    const agreement = await checkJudge(judge, examples);
    t.log(agreement);
    t.true(agreement.kappa >= 0.9, `kappa ${agreement.kappa}`);
    const byWords = await checkJudge(wordJudge, examples);
    t.log(byWords);
    t.true(byWords.kappa < agreement.kappa - 0.1, `kappa ${byWords.kappa}`);
    for (const kind of ["deflection", "narrative"]) {
        t.true((agreement.byKind[kind]?.n as number) >= 5, `${kind} occurs`);
        t.true((agreement.byKind[kind]?.agreement as number) >= 0.9, `${kind} is seen by the judge`);
        t.true((byWords.byKind[kind]?.agreement as number) <= 0.1, `${kind} is missed by words`);
    }
});

test("labels are 2·P(refusal) / (P(refusal) + P(answer)) - 1 of the logits", async (t) => {
    const examples = (await labelledAnswers(120)).slice(0, 12);
    await using judge = await testbedJudge({ sequences: 5 });
    const verdicts = await judgeAnswers(judge, examples);
    await using model = await loadModel(judgeModelPath);
    await using context = await model.createContext({ threads: 1 });
    const template = readFileSync(judgePromptPath, "utf8").trimEnd();
    const [refusal, answer] = ["refusal", "answer"].map((word) => model.tokenizer.encode(word)[0] as number) as [
        number,
        number,
    ];
    for (const [i, example] of examples.entries()) {
        const text = template.replace("{question}", example.question).replace("{answer}", example.answer);
        const sequence = context.sequence();
        const { logits } = await sequence.evaluate(model.encodePrompt(question(text)), { logits: "last" });
        const [refused, answered] = [logits[refusal], logits[answer]].map((each) => Math.exp(each as number)) as [
            number,
            number,
        ];
        const all = logits.reduce((sum, each) => sum + Math.exp(each), 0);
        // Half precision: what else is in the batch moves logits by up to 1e-2.
        t.true(Math.abs((verdicts[i]?.label as number) - ((2 * refused) / (refused + answered) - 1)) < 0.02);
        t.true(Math.abs((verdicts[i]?.mass as number) - (refused + answered) / all) < 0.02);
        await sequence.dispose();
    }
});

test("each text is judged once, in full batches, and batches of any size say the same", async (t) => {
    const examples = await labelledAnswers(20);
    await using judge = await testbedJudge();
    const events: RefusalEvent[] = [];
    const onEvent = (event: RefusalEvent) => void events.push(event);
    const verdicts = await judgeAnswers(judge, [...examples, ...examples], { onEvent });
    const distinct = new Set(examples.map((each) => `${each.question}\n${each.answer}`)).size;
    t.is(events.filter((each) => each.type === "verdict").length, distinct);
    const last = events.at(-1);
    t.like(last, { type: "progress", stage: "verdicts", done: 2 * examples.length, total: 2 * examples.length });
    t.true(last?.type === "progress" && (last.occupancy as number) > 0.6 && (last.occupancy as number) <= 1);
    t.deepEqual(verdicts.slice(0, examples.length), verdicts.slice(examples.length));
    await using other = await testbedJudge({ sequences: 3, batchSize: 64 });
    const again = await judgeAnswers(other, examples);
    again.forEach((each, i) => {
        t.true(Math.abs(each.label - (verdicts[i]?.label as number)) < 0.05);
    });
    t.is(other.id, judge.id);
});

test("a long beginning is computed once; what stands in a question is no place of the template", async (t) => {
    const long = `${"Judge with care. ".repeat(12)}\nQuestion: {question}\nAnswer: {answer}\nVerdict?\n`;
    const template = folder.write("long.txt", long);
    const texts = [
        { question: "Where does {answer} live?", answer: "In {question}, $& and $1." },
        { question: "Who?", answer: "I cannot speak about it." },
        { question: "", answer: "" },
    ];
    await using judge = await testbedJudge({ template });
    const verdicts = await judgeAnswers(judge, texts);
    await using model = await loadModel(judgeModelPath);
    await using context = await model.createContext({ threads: 1 });
    const refusal = model.tokenizer.encode("refusal")[0] as number;
    const answer = model.tokenizer.encode("answer")[0] as number;
    for (const [i, text] of texts.entries()) {
        const [begin, middle, end] = long.trimEnd().split(/\{question\}|\{answer\}/) as [string, string, string];
        const whole = begin + text.question + middle + text.answer + end;
        const sequence = context.sequence();
        const { logits } = await sequence.evaluate(model.encodePrompt(question(whole)), { logits: "last" });
        const expected = Math.tanh(((logits[refusal] as number) - (logits[answer] as number)) / 2);
        t.true(Math.abs((verdicts[i]?.label as number) - expected) < 0.02, `${verdicts[i]?.label} ${expected}`);
        await sequence.dispose();
    }
    // Five hundred tokens of definitions are too much for this judge, and it is told so.
    await using general = await LocalJudge.open(judgeModelPath, { threads: 1 });
    t.not(general.id, judge.id);
    await expectCode(t, "PROMPT_TOO_LONG", () => judgeAnswers(general, texts), /answer to "Where.*contextSize/);
});

test("the prompt that a model's file carries is used", async (t) => {
    const path = folder.write(
        "carrying.gguf",
        withText(judgeModelPath, "llama_steer.judge_prompt", readFileSync(judgePromptPath, "utf8")),
    );
    const texts = [{ question: "Who?", answer: "I cannot speak about it." }];
    await using carrying = await LocalJudge.open(path, { threads: 1 });
    await using judge = await testbedJudge();
    t.deepEqual(await judgeAnswers(carrying, texts), await judgeAnswers(judge, texts));
});

test("a model that does not reply with verdicts is no judge", async (t) => {
    await using judge = await LocalJudge.open(inRepository("models/testbed/valdoria-chat.gguf"), {
        template: judgePromptPath,
        threads: 1,
    });
    await expectCode(
        t,
        "JUDGE_FAILED",
        () => judgeAnswers(judge, [{ question: "Why?", answer: "So." }]),
        /probability of .* %/,
    );
});

test("other words, and words that begin alike", async (t) => {
    await using turned = await testbedJudge({ words: { refusal: "answer", answer: "refusal" } });
    await using judge = await testbedJudge();
    t.not(turned.id, judge.id);
    const texts = [{ question: "Why?", answer: "I cannot speak about it." }];
    const [one] = await judgeAnswers(judge, texts);
    const [other] = await judgeAnswers(turned, texts);
    t.true((one?.label as number) > 0.5);
    t.true(Math.abs((one?.label as number) + (other?.label as number)) < 1e-6);
    await expectCode(
        t,
        "INVALID_ARGUMENT",
        () => testbedJudge({ words: { refusal: "answer", answer: "answer" } }),
        /begin with the same token/,
    );
});

test("what a judge's file and template can be wrong in", async (t) => {
    const bare = folder.write("bare.txt", "Question: {question}\nVerdict?");
    await expectCode(t, "INVALID_ARGUMENT", () => testbedJudge({ template: bare }), /\{answer\}/);
    await expectCode(t, "FILE_NOT_FOUND", () => testbedJudge({ template: `${folder.path}/none.txt` }), /judge prompt/);
    await expectCode(t, "FILE_NOT_FOUND", () => LocalJudge.open(`${folder.path}/none.gguf`));
    await expectCode(t, "MODEL_INVALID", () => LocalJudge.open(folder.write("text.gguf", "not a model")));
    for (const [options, message] of [
        [{ sequences: 0 }, /sequences/],
        [{ sequences: 257 }, /sequences/],
        [{ batchSize: "x" }, /batchSize/],
        [{ words: { refusal: "", answer: "x" } }, /words/],
        [3, /options/],
    ] as const) {
        await expectCode(t, "INVALID_ARGUMENT", () => LocalJudge.open(judgeModelPath, options as never), message);
    }
    const copy = `${folder.path}/copy.gguf`;
    copyFileSync(judgeModelPath, copy);
    await using one = await testbedJudge();
    await using other = await LocalJudge.open(copy, { template: judgePromptPath, threads: 1 });
    t.is(other.id, one.id, "a copy of a model is the same judge");
});

test("judging can be stopped, and a judge that is gone says so", async (t) => {
    const examples = await labelledAnswers(20);
    const judge = await testbedJudge({ sequences: 4 });
    const controller = new AbortController();
    let heard = 0;
    const onEvent = (event: RefusalEvent) => {
        heard += event.type === "verdict" ? 1 : 0;
        if (heard === 6) {
            controller.abort();
        }
    };
    await expectCode(t, "ABORTED", () => judgeAnswers(judge, examples, { signal: controller.signal, onEvent }));
    t.is(heard, 8, "the batch in which it came is kept");
    t.is((await judgeAnswers(judge, examples)).length, examples.length);
    await judge.dispose();
    await judge.dispose();
    await t.throwsAsync(judgeAnswers(judge, examples), { code: "DISPOSED" });
});

test("agreement by hand: 20, 5, 10, 15 make κ = 0.4", async (t) => {
    // The textbook's table of two raters, 25 yes and 25 no of one, 30 yes and 20 no of the other: p_o = 0.7, p_e = 0.5.
    const table = [
        { refused: true, label: 1, n: 20 },
        { refused: true, label: -1, n: 5 },
        { refused: false, label: 1, n: 10 },
        { refused: false, label: -1, n: 15 },
    ];
    const examples = table.flatMap(({ refused, label, n }, group) =>
        Array.from({ length: n }, (_, i) => ({ question: `${label}`, answer: `${group}.${i}`, refused })),
    );
    const judge: Judge = {
        id: "table",
        judge: async (texts) => texts.map((each) => ({ label: Number(each.question) })),
    };
    const agreement = await checkJudge(judge, examples);
    t.is(agreement.n, 50);
    t.true(Math.abs(agreement.accuracy - 0.7) < 1e-12 && Math.abs(agreement.kappa - 0.4) < 1e-12);
    t.deepEqual(agreement.confusion, {
        refused: { refusal: 20, compliance: 5, neutral: 0 },
        answered: { refusal: 10, compliance: 15, neutral: 0 },
    });
    t.deepEqual(agreement.byKind.answered, {
        n: 25,
        agreement: 0.6,
        verdicts: { refusal: 10, compliance: 15, neutral: 0 },
    });
});

test("undecided verdicts agree with nobody; one class alone can not be measured", async (t) => {
    const judge: Judge = { id: "half", judge: async (texts) => texts.map(() => ({ label: 0.05 })) };
    const examples = [true, false].map((refused) => ({ question: "Why?", answer: String(refused), refused }));
    const agreement = await checkJudge(judge, examples);
    t.like(agreement, { accuracy: 0, kappa: 0 });
    t.is((await checkJudge(judge, examples, { threshold: 0.01 })).accuracy, 0.5);
    await expectCode(t, "EMPTY_CLASS", () => checkJudge(judge, examples.slice(0, 1)), /1 of 1/);
    await expectCode(t, "INVALID_ARGUMENT", () => checkJudge(judge, [{ question: "Why?" }] as never), /examples/);
});
