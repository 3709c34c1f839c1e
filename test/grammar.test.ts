import test from "ava";
import type { GenerationOptions } from "llama-steer";
import { answer, endless } from "./support/answer.js";
import { expectCode } from "./support/expect-code.js";
import { logSoftmax } from "./support/numbers.js";
import { replayLogits } from "./support/replay.js";
import { chatContext, chatModel, exactContext, question, questions } from "./support/testbed.js";

const json = String.raw`
root   ::= object
value  ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" (pair ("," pair){0,3})? "}"
pair   ::= string ":" value
array  ::= "[" (value ("," value){0,3})? "]"
string ::= "\"" ([^"\\\x00-\x1F] | "\\" ["\\/bfnrt]){0,12} "\""
number ::= "-"? ("0" | [1-9] [0-9]{0,5}) ("." [0-9]{1,3})?
`;

/** Grammars of finite or bounded answers, each with a regular expression that says the same. */
const regular: [grammar: string, same: RegExp][] = [
    ['root ::= "yes" | "no"', /^(yes|no)$/],
    ['root ::= [0-9]{4} "-" [01] [0-9] "-" [0-3] [0-9]', /^\d{4}-[01]\d-[0-3]\d$/],
    ['root ::= word (", " word){0,2} "."\nword ::= [a-zA-Z]{1,6}', /^[a-zA-Z]{1,6}(, [a-zA-Z]{1,6}){0,2}\.$/],
    ['root ::= "It lives " ("in" | "on") " " [^.\\n]{0,20} "."', /^It lives (in|on) [^.\n]{0,20}\.$/u],
    ['root ::= "é" [à-ÿ]{2} "🙂"?', /^é[à-ÿ]{2}🙂?$/u],
    ['root ::= "a"? "b"* "c"{0,3} [^\\x00-\\x7F]{1,3}', /^a?b*c{0,3}[^\p{ASCII}]{1,3}$/u],
];

const samplings: GenerationOptions[] = [
    {},
    { repeatPenalty: 1.3 },
    { temperature: 1 },
    { temperature: 3 },
    { temperature: 1, topK: 3 },
    { temperature: 1.5, topP: 0.7, minP: 0.02, repeatPenalty: 1.1 },
];

test("answers match their grammar at every temperature and seed", async (t) => {
    const context = await chatContext({ sequences: 8, contextSize: 256 });
    for (const [grammar, same] of regular) {
        const running = samplings.flatMap((options) =>
            [1, 2, 3].map((seed) => ({ options: { ...options, grammar, seed, maxTokens: 100 } })),
        );
        const texts = new Set<string>();
        for (const { options } of running) {
            const sequence = context.sequence();
            const result = await sequence.generate(question(questions[0]), options).result();
            await sequence.dispose();
            texts.add(result.text);
            if (result.finishReason === "length") {
                t.true(same.source.includes("*"), "only what may repeat without end runs into maxTokens");
                continue;
            }
            t.regex(result.text, same, JSON.stringify(options));
            t.is(result.finishReason, "stop");
            t.true(context.model.tokenizer.isEndOfGeneration(result.stopToken ?? -1));
        }
        t.true(texts.size > 1, `${grammar} was followed in more than one way`);
    }
    await context.dispose();
});

test("answers of a JSON grammar parse, and those cut short begin what parses", async (t) => {
    const context = await chatContext({ sequences: 16, contextSize: 512 });
    let complete = 0;
    for (const temperature of [0, 0.7, 1.5]) {
        const running = Array.from({ length: temperature === 0 ? 1 : 15 }, (_, seed) => {
            const sequence = context.sequence();
            const options = { grammar: json, temperature, seed, maxTokens: 300 };
            return { sequence, generation: sequence.generate(question("Describe the river."), options) };
        });
        for (const { sequence, generation } of running) {
            const { text, finishReason } = await generation.result();
            if (finishReason === "stop") {
                t.is(typeof JSON.parse(text), "object", text);
                complete++;
            } else {
                t.regex(text, /^\{/);
            }
            await sequence.dispose();
        }
    }
    t.true(complete > 15, `${complete} were complete`);
    await context.dispose();
});

test("sequences of one batch follow each its own grammar", async (t) => {
    const context = await chatContext({ sequences: regular.length * 2 });
    const options = (i: number): GenerationOptions => ({
        grammar: regular[i % regular.length]?.[0] as string,
        temperature: i < regular.length ? 0 : 1,
        seed: i,
        maxTokens: 100,
        ...(i % 3 === 0 ? { stop: "o" } : {}),
    });
    const running = Array.from({ length: regular.length * 2 }, (_, i) => {
        return context.sequence().generate(question(questions[i % 4] as string), options(i));
    });
    for (const [i, generation] of running.entries()) {
        const together = await generation.result();
        if (together.finishReason === "stop" && together.stopString === undefined) {
            t.regex(together.text, regular[i % regular.length]?.[1] as RegExp);
        }
    }
    await context.dispose();
});

test("where the model's own answer matches, a grammar changes nothing", async (t) => {
    const free = await answer(questions[0]);
    const bound = await answer(questions[0], { grammar: 'root ::= [a-zA-Z ]+ "."' });
    t.deepEqual(bound, free);
});

test("logProbability is that of the model before the grammar", async (t) => {
    const context = await exactContext();
    const sequence = context.sequence();
    const prompt = context.model.encodePrompt(question(questions[0]));
    const result = await sequence.generate(prompt, { grammar: 'root ::= "Nobody " [a-z]{8}', temperature: 1 }).result();
    await sequence.dispose();
    const logits = await replayLogits(context, prompt, result.tokens);
    t.true(result.tokens.length > 4);
    result.tokens.forEach((token, i) => {
        const expected = logSoftmax(logits[i] as Float32Array)[token] as number;
        t.true(Math.abs((result.logProbabilities[i] as number) - expected) < 1e-4, `token ${i}`);
    });
    t.true(result.meanLogProbability < -3, "the model itself finds it improbable");
    await context.dispose();
});

test("biases act on what the grammar allows, and cannot allow what it forbids", async (t) => {
    const { tokenizer } = await chatModel();
    const [no] = tokenizer.encode("no");
    const grammar = 'root ::= "yes" | "no" | "never"';
    const letter = (text: string): number => text.charCodeAt(0);
    for (const temperature of [0, 1]) {
        const bias = new Map([
            [letter("y"), Number.NEGATIVE_INFINITY],
            ...tokensThatBegin(tokenizer, "y").map((token): [number, number] => [token, Number.NEGATIVE_INFINITY]),
            [letter("x"), 1000],
            [no as number, 50],
        ]);
        const result = await answer(questions[0], { grammar, logitBias: bias, temperature });
        t.true(["no", "never"].includes(result.text), result.text);
    }
});

function tokensThatBegin(tokenizer: { vocabularySize: number; decode(ids: number[]): string }, text: string): number[] {
    return Array.from({ length: tokenizer.vocabularySize }, (_, id) => id).filter((id) =>
        tokenizer.decode([id]).startsWith(text),
    );
}

test("where grammar and biases leave nothing, the answer fails and its sequence can be used on", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const sequence = context.sequence();
    const beside = context.sequence().generate(question(questions[1]));
    const prompt = context.model.encodePrompt(question(questions[0]));
    for (const temperature of [0, 1]) {
        // [b-a] is a range that holds nothing.
        const failing = sequence.generate(prompt, { grammar: 'root ::= "ab" [b-a]', temperature });
        const seen: string[] = [];
        await expectCode(
            t,
            "NO_TOKEN_LEFT",
            async () => {
                for await (const { text } of failing) {
                    seen.push(text);
                }
            },
            /forbid less/,
        );
        t.is(seen.join(""), "ab");
        await expectCode(t, "NO_TOKEN_LEFT", () => failing.result());
        t.is(sequence.position, prompt.length + seen.length);
        await sequence.clear();
    }
    const complete = { grammar: 'root ::= "ab"', logitBias: await endless() };
    await expectCode(t, "NO_TOKEN_LEFT", () => sequence.generate(prompt, complete).result());
    await sequence.clear();
    t.deepEqual(await sequence.generate(prompt).result(), await answer(questions[0]));
    t.is((await beside.result()).text, (await answer(questions[1])).text, "the answer beside it was not touched");
    await context.dispose();
});

test("a signal ends an answer in the middle of its grammar, with a stop string pending", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const controller = new AbortController();
    const reason = new Error("enough");
    const generation = sequence.generate(question(questions[0]), {
        grammar: "root ::= [a-z ]*",
        logitBias: await endless(),
        temperature: 1,
        maxTokens: 100_000,
        stop: "zzzzzzzzzzzzzzzz",
        signal: controller.signal,
    });
    let seen = 0;
    const error = await expectCode(t, "ABORTED", async () => {
        for await (const _ of generation) {
            if (++seen === 5) {
                controller.abort(reason);
            }
        }
    });
    t.is(error?.cause, reason);
    await sequence.clear();
    t.is((await sequence.generate(question(questions[0]), { grammar: 'root ::= "yes"' }).result()).text, "yes");
    await context.dispose();
});

test("stop strings and maxTokens end an answer in the middle of its grammar", async (t) => {
    const grammar = 'root ::= "one, two, three, four" [.]{5}';
    const stopped = await answer(questions[0], { grammar, stop: [", t", "four"] });
    t.is(stopped.text, "one");
    t.is(stopped.stopString, ", t");
    const cut = await answer(questions[0], { grammar, maxTokens: 3 });
    t.is(cut.finishReason, "length");
    t.true("one, two, three, four".startsWith(cut.text));
});

test("another root, and a grammar that names tokens", async (t) => {
    const grammar = 'first ::= "a" | "b"\nsecond ::= "c"';
    t.is((await answer(questions[0], { grammar, grammarRoot: "second" })).text, "c");
    const [yes] = (await chatModel()).tokenizer.encode("answer");
    const named = await answer(questions[0], { grammar: `root ::= <[${yes}]> !<[${yes}]> <|im_start|>` });
    t.is(named.tokens.length, 3);
    t.is(named.tokens[0], yes);
    t.not(named.tokens[1], yes);
    t.true(named.text.startsWith("answer"));
});

test("a bad grammar is refused at once, before the sequence is touched", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const nested = `root ::= ${"(".repeat(100_000)}`;
    const bad: [grammar: string, message: RegExp, root?: string][] = [
        ["", /empty/],
        ['root ::= "a', /line 1, column 12/],
        ['root ::= "a"\nroot := "b"', /line 2, column 7/],
        ["root ::= other", /"other"/],
        ['root ::= "a"', /"answer"/, "answer"],
        ['root ::= root "a" | "b"', /left-recursive/],
        ['root ::= a root "c" | "d"\na ::= b\nb ::= ""', /left-recursive/],
        ['root ::= "a"{3,1}', /below/],
        ['root ::= "a"{1000000000}', /2000/],
        ['root ::= ("a"{0,1000}){0,1000}', /within repetitions/],
        [nested, /nested/],
        ['root ::= "a\0b"', /NUL/],
        ["root ::= <|im_end|>", /ends answers/],
    ];
    for (const [grammar, message, root] of bad) {
        const options = root === undefined ? { grammar } : { grammar, grammarRoot: root };
        t.throws(() => sequence.generate(question(questions[0]), options), { code: "GRAMMAR_INVALID", message });
    }
    for (const wrong of [{ grammar: 7 }, { grammar: null }, { grammarRoot: "a" }, { grammar: "", grammarRoot: 1 }]) {
        await expectCode(t, "INVALID_ARGUMENT", () =>
            sequence.generate(question(questions[0]), wrong as GenerationOptions),
        );
    }
    t.is(sequence.position, 0);
    t.is(context.statistics.decodes, 0);
    t.is((await sequence.generate(question(questions[0]), { grammar: 'root ::= "yes"' }).result()).text, "yes");
    await context.dispose();
});

test("a biased token outside the vocabulary is refused at once", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const logitBias = new Map([[context.model.info.vocabularySize, 1]]);
    t.throws(() => sequence.generate(question(questions[0]), { logitBias }), { code: "INVALID_ARGUMENT" });
    t.is(sequence.position, 0);
    await context.dispose();
});
