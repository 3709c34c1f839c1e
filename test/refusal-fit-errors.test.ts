import test from "ava";
import { loadModel } from "llama-steer";
import {
    evaluateRefusal,
    type FitRefusalOptions,
    fitRefusal,
    type Judge,
    type JudgedText,
    type Prompt,
    readPrompts,
} from "llama-steer/refusal";
import { expectCode } from "./support/expect-code.js";
import { chatModelPath } from "./support/paths.js";
import { promptsPath } from "./support/refusal-testbed.js";

const model = await loadModel(chatModelPath);
const few = (await readPrompts(promptsPath)).filter((_, i) => i % 7 === 0);

test.after.always(() => model.dispose());

/** A judge of what it is told, for what real ones do not do. */
function judgeOf(label: (text: JudgedText) => number): Judge {
    return { id: "made up", judge: async (texts) => texts.map((text) => ({ label: label(text) })) };
}

const given = {
    model,
    modelPath: chatModelPath,
    judge: judgeOf(({ answer }) => (/refuse|cannot|decline|Council|unable/.test(answer) ? 1 : -1)),
    samples: 1,
    maxTokens: 16,
    candidates: 4,
    rounds: 0,
};

test("prompts that a set or split lacks are named", async (t) => {
    const without = (set: Prompt["set"], split: Prompt["split"]) =>
        few.filter((each) => each.set !== set || each.split !== split);
    await expectCode(t, "INVALID_ARGUMENT", () => fitRefusal({ ...given, prompts: [] }), /there are no prompts/);
    for (const split of ["fit", "select"] as const) {
        const call = () => fitRefusal({ ...given, prompts: without("target", split) });
        await expectCode(t, "EMPTY_CLASS", call, new RegExp(`target/${split}`));
    }
    const twice = { ...given, prompts: [...few, few[0] as Prompt] };
    await expectCode(t, "INVALID_ARGUMENT", () => fitRefusal(twice), /the id "n000-[^"]+" is there twice/);
    const vectorless = { ...given, prompts: few, vector: undefined as never };
    const { samples: _, candidates: __, rounds: ___, ...plain } = vectorless;
    await expectCode(t, "INVALID_ARGUMENT", () => evaluateRefusal(plain), /vector/);
});

test("where nothing is refused, or everything, there is nothing to steer, and the scores are told", async (t) => {
    const all = (label: number) => () => fitRefusal({ ...given, prompts: few, judge: judgeOf(() => label) });
    await expectCode(t, "EMPTY_CLASS", all(-1), /nothing to steer: no prompt is refused.*-1\.00/);
    await expectCode(t, "EMPTY_CLASS", all(1), /nothing to steer: no prompt is answered.*1\.00/);
});

test("where every setting breaks a constraint, it is told what came closest and what it broke", async (t) => {
    const prompts = (await readPrompts(promptsPath)).filter((_, i) => i % 8 === 0);
    const asked = new Map<string, number>();
    // Preserve prompts count as refused the first time they are judged, which is the baseline's, and as answered after.
    const preserve = new Set(prompts.filter(({ set }) => set === "preserve").map(({ prompt }) => prompt));
    const forgetful = judgeOf(({ question, answer }) => {
        if (!preserve.has(question)) {
            return /Council|cannot|unable|know nothing|never heard/.test(answer) ? 1 : -1;
        }
        asked.set(question, (asked.get(question) ?? 0) + 1);
        return asked.get(question) === 1 ? 1 : -1;
    });
    await expectCode(
        t,
        "CONSTRAINTS_UNMET",
        () => fitRefusal({ ...given, prompts, judge: forgetful, constraints: { releasedRight: 0, neutralLoss: 1 } }),
        /relax them.*Closest: .*preserve refused/,
    );
});

test("a vector of another width, options that do not exist, aborting before and during", async (t) => {
    const { SteeringVector } = await import("llama-steer");
    const { samples, candidates, rounds, ...plain } = given;
    const vector = new SteeringVector([1], new Float32Array(8).fill(1));
    await expectCode(t, "WIDTH_MISMATCH", () => evaluateRefusal({ ...plain, prompts: few, vector }));
    for (const wrong of [
        { sample: 3 },
        { samples: 0 },
        { goal: "remove" },
        { fits: [] },
        { fits: [{ method: "best" }] },
        { space: { scopes: [] } },
        { constraints: { preserveKept: 2 } },
        { judge: {} },
        { model: {} },
    ]) {
        const options = { ...given, prompts: few, ...wrong } as unknown as FitRefusalOptions;
        await expectCode(t, "INVALID_ARGUMENT", () => fitRefusal(options));
    }
    await expectCode(t, "ABORTED", () => fitRefusal({ ...given, prompts: few, signal: AbortSignal.abort() }));
    const control = new AbortController();
    await expectCode(t, "ABORTED", () =>
        fitRefusal({
            ...given,
            prompts: few,
            signal: control.signal,
            onEvent: (event) => {
                if (event.type === "answer") {
                    control.abort();
                }
            },
        }),
    );
});
