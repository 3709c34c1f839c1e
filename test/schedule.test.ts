import test from "ava";
import { type FixedSchedule, type PhasesSchedule, type Schedule, scheduleAt } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { randomNumbers } from "./support/numbers.js";
import { randomPhases, randomStepSchedule, scheduleInternals, segmentValue } from "./support/schedules.js";
import { selectedPositions } from "./support/selections.js";
import { chatModel } from "./support/testbed.js";

const tolerance = 1e-12; // of values up to 8, in float64

/** Values worked out by hand, of the steps from the first one on. */
const byHand: readonly (readonly [schedule: FixedSchedule, first: number, values: readonly number[]])[] = [
    [-1.5, -1, [-1.5, -1.5, -1.5]],
    [{ kind: "constant", value: 2 }, -1, [2, 2, 2]],
    [{ kind: "window", value: 3, from: 0, to: 2 }, -2, [0, 0, 3, 3, 3, 0, 0]],
    [{ kind: "window", value: 3, to: 2, outside: -1 }, -1, [3, 3, 3, 3, -1, -1]],
    [{ kind: "window", value: 3, from: -2 }, -4, [0, 0, 3, 3, 3, 3]],
    [{ kind: "window", value: 3, from: 4, to: 4 }, 3, [0, 3, 0]],
    [{ kind: "window", value: 3 }, -1, [3, 3, 3]],
    [{ kind: "ramp", from: 1, to: 3, over: 4 }, -1, [1, 1, 1.5, 2, 2.5, 3, 3]],
    [{ kind: "ramp", from: 0, to: -2, over: 1, start: 3 }, 2, [0, 0, -2, -2]],
    [
        { kind: "ramp", from: 2, to: 0, over: 4, start: -2, curve: "cosine" },
        -3,
        [2, 2, 1 + Math.SQRT1_2, 1, 1 - Math.SQRT1_2, 0, 0],
    ],
    [{ kind: "decay", value: 8, halfLife: 2 }, -1, [8, 8, 8 / Math.SQRT2, 4, 4 / Math.SQRT2, 2]],
    [{ kind: "decay", value: 0, halfLife: 0.5, floor: 16, start: 1 }, 0, [0, 0, 12, 15]],
    [pointsOf([0, 1], [2, 5], [6, -3]), -1, [1, 1, 1, 5, 5, 5, 5, -3, -3]],
    [linearPoints([0, 1], [2, 5], [6, -3]), -1, [1, 1, 3, 5, 3, 1, -1, -3, -3]],
    [linearPoints([3, 7]), 2, [7, 7, 7]],
    [{ kind: "phases", prompt: 1, generation: { kind: "ramp", from: 0, to: 9, over: 9 } }, -2, [1, 1, 1, 1, 2, 3]],
    [{ kind: "phases", generation: 4 }, -1, [0, 0, 4]],
    [{ kind: "phases", prompt: 4 }, -1, [4, 4, 0]],
];

function pointsOf(...points: [number, number][]): FixedSchedule {
    return { kind: "piecewise", points };
}

function linearPoints(...points: [number, number][]): FixedSchedule {
    return { kind: "piecewise", points, interpolate: "linear" };
}

test("scheduleAt gives the values worked out by hand", (t) => {
    for (const [schedule, first, values] of byHand) {
        for (const [i, value] of values.entries()) {
            const found = scheduleAt(schedule, first + i);
            t.true(Math.abs(found - value) <= tolerance, `${JSON.stringify(schedule)} at ${first + i}: ${found}`);
        }
    }
});

test("between markers the schedule inside holds", (t) => {
    const markers = ["<think>", "</think>"] as const;
    const schedule: PhasesSchedule = {
        kind: "phases",
        generation: 1,
        between: [
            { markers, inside: { kind: "ramp", from: 0, to: 4, over: 4 } },
            { markers, inside: -1 },
        ],
    };
    t.is(scheduleAt(schedule, 3), 1);
    t.is(scheduleAt(schedule, 3, 0), 3);
    t.is(scheduleAt(schedule, -7, 1), -1);
});

test("compiled segments have the values of scheduleAt, natively too", async (t) => {
    const { tokenizer } = await chatModel();
    const { compile, values } = await scheduleInternals();
    const random = randomNumbers(41);
    const steps = Array.from({ length: 61 }, (_, i) => i - 25);
    const tokens = new Int32Array(steps.length).fill(5);
    let differing = 0;
    for (let round = 0; round < 600; round++) {
        const schedule = randomStepSchedule(random);
        const compiled = compile(schedule, "strength", tokenizer);
        t.is(compiled.phases.length, 1);
        const { segments } = compiled.phases[0] as { segments: Float64Array };
        const native = values(compiled, tokens, 26, new Float64Array(tokens.length));
        differing += new Set(native).size > 1 ? 1 : 0;
        steps.forEach((step, i) => {
            const expected = scheduleAt(schedule, step);
            const found = [segmentValue(segments, step), native[i] as number];
            if (!found.every((each) => Math.abs(each - expected) <= tolerance)) {
                t.fail(`${JSON.stringify(schedule)} at ${step}: ${expected}, compiled ${found}`);
            }
        });
    }
    t.true(differing > 200, "most schedules do change");
});

test("phases take the tokens that selections of their words take, natively too", async (t) => {
    const { tokenizer } = await chatModel();
    const { compile, values } = await scheduleInternals();
    const random = randomNumbers(42);
    const ids = (...list: number[]): Int32Array => Int32Array.from(list);
    const markers: [Int32Array, Int32Array][] = [
        [ids(7), ids(8)],
        [ids(9, 7), ids(9)],
    ];
    for (let round = 0; round < 300; round++) {
        const schedule = randomPhases(random, markers);
        const tokens = Int32Array.from({ length: 40 }, () => 6 + Math.floor(random() * 5));
        const promptTokens = Math.floor(random() * 41);
        const native = values(compile(schedule, "strength", tokenizer), tokens, promptTokens, new Float64Array(40));
        const described = Array.from(tokens, (token, i) => ({
            token,
            phase: i < promptTokens ? ("prompt" as const) : ("generated" as const),
            output: false,
        }));
        const inside = (schedule.between ?? []).map(({ markers: pair, withMarkers = false }) =>
            selectedPositions({ between: pair, withMarkers }, described),
        );
        tokens.forEach((_, position) => {
            const entry = inside.findIndex((positions) => positions.includes(position));
            const expected = scheduleAt(schedule, position - promptTokens + 1, entry < 0 ? undefined : entry);
            if (!(Math.abs((native[position] as number) - expected) <= tolerance)) {
                t.fail(`${JSON.stringify(schedule)} at ${position} of ${tokens}: ${native[position]}, not ${expected}`);
            }
        });
    }
    t.pass();
});

test("markers as text are encoded", async (t) => {
    const { tokenizer } = await chatModel();
    const { compile } = await scheduleInternals();
    const schedule: Schedule = { kind: "phases", between: [{ markers: ["<|im_start|>", "<|im_end|>"], inside: 1 }] };
    const { tokens } = compile(schedule, "strength", tokenizer).phases[0] as { tokens: { open: Int32Array } };
    t.deepEqual(tokens.open, tokenizer.encode("<|im_start|>", { parseSpecial: true }));
});

test("a function is compiled to itself, and has no value before it runs", async (t) => {
    const { tokenizer } = await chatModel();
    const { compile } = await scheduleInternals();
    const live = ({ step }: { step: number }): number => step;
    t.is(compile(live, "strength", tokenizer).live, live);
    await expectCode(t, "INVALID_ARGUMENT", () => scheduleAt(live as never, 0), /schedule is a function/);
});
