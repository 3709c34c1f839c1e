import test from "ava";
import { classOf, refusalScores, requireBothClasses, splitThought } from "llama-steer/refusal";
import { type Anything, isNumber } from "./support/accepts.js";
import { expectCode } from "./support/expect-code.js";
import { randomNumbers } from "./support/numbers.js";
import { wrongValues } from "./support/wrong-values.js";

const sample = (prompt: string, meanLogProbability: number, label: number) => ({ prompt, meanLogProbability, label });

test("scores are the formula's, term by term", (t) => {
    const random = randomNumbers(5);
    for (const temperature of [0.2, 1, 7]) {
        const samples = Array.from({ length: 40 }, (_, i) => sample(`p${i % 8}`, -3 * random(), 2 * random() - 1));
        const scores = refusalScores(samples, { temperature });
        t.is(scores.length, 8);
        for (const { prompt, score } of scores) {
            let above = 0;
            let below = 0;
            for (const each of samples.filter((one) => one.prompt === prompt)) {
                above += Math.exp(each.meanLogProbability / temperature) * each.label;
                below += Math.exp(each.meanLogProbability / temperature);
            }
            t.true(Math.abs(score - above / below) < 1e-12, `${prompt} at ${temperature}`);
        }
    }
});

test("by hand: weights e^0 and e^-ln3, labels 1 and -1, make 1/2", (t) => {
    const [score] = refusalScores([sample("a", 0, 1), sample("a", -Math.log(3), -1)]);
    t.true(Math.abs((score?.score as number) - 0.5) < 1e-12);
    t.is(score?.class, "refusal");
});

test("log-probabilities far below zero neither vanish nor overflow", (t) => {
    const [score] = refusalScores([sample("a", -5000, 1), sample("a", -5001, -1)], { temperature: 1 });
    t.true(Math.abs((score?.score as number) - Math.tanh(0.5)) < 1e-12);
});

test("classes lie beyond the threshold, not on it", (t) => {
    t.deepEqual(
        [0.1, 0.11, -0.1, -0.11, 0].map((each) => classOf(each)),
        ["neutral", "refusal", "neutral", "compliance", "neutral"],
    );
    t.is(classOf(0.4, 0.5), "neutral");
    t.is(refusalScores([sample("a", 0, 0.4)], { threshold: 0.5 })[0]?.class, "neutral");
});

test("prompts come in the order in which they first occur", (t) => {
    const scores = refusalScores([sample("b", 0, 1), sample("a", 0, 1), sample("b", 0, 1)]);
    t.deepEqual(
        scores.map((each) => each.prompt),
        ["b", "a"],
    );
});

test("nothing to steer: no refusals, no compliance, neither; with the scores", async (t) => {
    const refused = refusalScores([sample("first", 0, 0.9), sample("second", 0, 0.05)]);
    await expectCode(
        t,
        "EMPTY_CLASS",
        () => requireBothClasses(refused),
        /nothing to steer: no prompt is answered.*second 0\.05, first 0\.90/,
    );
    const answered = refusalScores([sample("first", 0, -0.9)]);
    await expectCode(t, "EMPTY_CLASS", () => requireBothClasses(answered), /no prompt is refused .*first -0\.90/);
    await expectCode(t, "EMPTY_CLASS", () => requireBothClasses([]), /no prompt is refused or answered/);
    const many = refusalScores(Array.from({ length: 20 }, (_, i) => sample(`p${i}`, 0, 0.2 + i / 100)));
    await expectCode(t, "EMPTY_CLASS", () => requireBothClasses(many), /p0 0\.20, .*p19 0\.39/);
    t.notThrows(() => requireBothClasses([...refused, ...answered]));
});

test("labels and log-probabilities that are none are refused", async (t) => {
    for (const label of [1.01, -2]) {
        await expectCode(t, "INVALID_ARGUMENT", () => refusalScores([sample("a", 0, label)]), /-1 \.\. 1/);
    }
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY]) {
        await expectCode(t, "NOT_FINITE", () => refusalScores([sample("a", wrong, 1)]));
        await expectCode(t, "NOT_FINITE", () => refusalScores([sample("a", 0, wrong)]));
    }
    for (const temperature of [0, -1, Number.NaN]) {
        await expectCode(t, "INVALID_ARGUMENT", () => refusalScores([], { temperature }), /temperature/);
    }
    for (const [, wrong] of wrongValues((value) => isNumber(value) || value === undefined)) {
        await expectCode(t, "INVALID_ARGUMENT", () => refusalScores([], { threshold: wrong as Anything }), /threshold/);
    }
});

test("reasoning is taken off an answer", (t) => {
    t.deepEqual(splitThought("<think>Hm.</think>\n\nYes."), { text: "Yes.", thought: "Hm." });
    t.deepEqual(splitThought("\n<think>\na <think> b\n</think> Yes. "), { text: "Yes.", thought: "a <think> b" });
    // Templates that open the block in the prompt leave the closing marker alone.
    t.deepEqual(splitThought("Hm.</think>Yes."), { text: "Yes.", thought: "Hm." });
    t.deepEqual(splitThought("<think>a</think><think>b</think>Yes."), { text: "Yes.", thought: "a</think><think>b" });
    t.deepEqual(splitThought("[THINK]Hm.[/THINK]Yes."), { text: "Yes.", thought: "Hm." });
});

test("reasoning that was cut off leaves no answer; one that is only mentioned is none", (t) => {
    t.deepEqual(splitThought("<think>Hm, let me"), { text: "", thought: "Hm, let me", unfinished: true });
    t.deepEqual(splitThought("Write <think> to think."), { text: "Write <think> to think." });
    t.deepEqual(splitThought("  plain "), { text: "  plain " });
    t.deepEqual(splitThought(""), { text: "" });
});

test("markers can be chosen", (t) => {
    const markers = [{ open: "((", close: "))" }];
    t.deepEqual(splitThought("((a))b", markers), { text: "b", thought: "a" });
    t.deepEqual(splitThought("<think>a</think>b", markers), { text: "<think>a</think>b" });
    t.deepEqual(splitThought("<think>a</think>b", []), { text: "<think>a</think>b" });
});
