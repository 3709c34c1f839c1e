import test from "ava";
import { type FixedSchedule, type PhasesSchedule, type Schedule, SteerError, scheduleAt } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { scheduleInternals } from "./support/schedules.js";
import { chatModel } from "./support/testbed.js";
import { wrongValues } from "./support/wrong-values.js";

const kinds = /"constant", "window", "ramp", "decay", "piecewise", "phases"/;
const ramp = { kind: "ramp", from: 0, to: 1, over: 3 };
const decay = { kind: "decay", value: 1, halfLife: 3 };
const wrong: readonly [what: string, schedule: unknown, message: RegExp, code?: "NOT_FINITE"][] = [
    ["NaN", Number.NaN, /strength must be finite/, "NOT_FINITE"],
    ["a number beyond float32", 1e39, /strength must be finite/, "NOT_FINITE"],
    ["text", "2", /strength must be an object/],
    ["null", null, /strength must be an object/],
    ["undefined", undefined, /strength must be an object/],
    ["a list", [1, 2], /strength must be an object/],
    ["no kind", { value: 1 }, kinds],
    ["an unknown kind", { kind: "Ramp" }, kinds],
    ["a kind that every object has", { kind: "toString" }, kinds],
    ["no value", { kind: "constant" }, /strength\.value must be a number, not undefined/],
    ["an infinite value", { kind: "constant", value: -Infinity }, /strength\.value/, "NOT_FINITE"],
    ["a window without value", { kind: "window", from: 1 }, /strength\.value/],
    ["a window from a fraction", { kind: "window", value: 1, from: 0.5 }, /strength\.from .*whole number, not 0.5/],
    ["a window to infinity", { kind: "window", value: 1, to: Infinity }, /strength\.to .*leave it out/, "NOT_FINITE"],
    ["a window backwards", { kind: "window", value: 1, from: 3, to: 2 }, /strength\.from .* 3 > 2/],
    ["a window with NaN outside", { kind: "window", value: 1, outside: NaN }, /strength\.outside/, "NOT_FINITE"],
    ["a step beyond 32 bits", { kind: "window", value: 1, to: 2 ** 31 }, /strength\.to/],
    ["a ramp from nothing", { ...ramp, from: undefined }, /strength\.from/],
    ["a ramp to text", { ...ramp, to: "1" }, /strength\.to/],
    ["a ramp over nothing", { ...ramp, over: undefined }, /strength\.over/],
    ["a ramp over no steps", { ...ramp, over: 0 }, /strength\.over must be 1 step or more, not 0/],
    ["a ramp over steps backwards", { ...ramp, over: -3 }, /strength\.over must be 1 step or more/],
    ["a ramp over half a step", { ...ramp, over: 0.5 }, /strength\.over/],
    ["a ramp over NaN", { ...ramp, over: NaN }, /strength\.over/, "NOT_FINITE"],
    ["a ramp that starts at text", { ...ramp, start: "0" }, /strength\.start/],
    ["an unknown curve", { ...ramp, curve: "sine" }, /strength\.curve must be one of "linear", "cosine"/],
    ["a decay without half-life", { kind: "decay", value: 1 }, /strength\.halfLife/],
    ["a half-life of 0", { ...decay, halfLife: 0 }, /strength\.halfLife must be more than 0 steps, not 0/],
    ["a half-life below 0", { ...decay, halfLife: -1 }, /strength\.halfLife/],
    ["an endless half-life", { ...decay, halfLife: Infinity }, /strength\.halfLife/, "NOT_FINITE"],
    ["a floor that is NaN", { ...decay, floor: NaN }, /strength\.floor/, "NOT_FINITE"],
    ["a decay that starts at a fraction", { ...decay, start: 1.5 }, /strength\.start/],
    ["no points", { kind: "piecewise" }, /strength\.points/],
    ["an empty list of points", { kind: "piecewise", points: [] }, /strength\.points .*at least one/],
    ["points that are no list", { kind: "piecewise", points: { 0: 1 } }, /strength\.points/],
    ["a point that is a number", { kind: "piecewise", points: [1] }, /strength\.points\[0\] must be \[step, value\]/],
    ["a point of three", { kind: "piecewise", points: [[0, 1, 2]] }, /strength\.points\[0\]/],
    ["a hole for a point", { kind: "piecewise", points: Array(2) }, /strength\.points\[0\]/],
    ["a point at a fraction", { kind: "piecewise", points: [[0.5, 1]] }, /step of strength\.points\[0\]/],
    ["a point of NaN", { kind: "piecewise", points: [[0, NaN]] }, /value of strength\.points\[0\]/, "NOT_FINITE"],
    [
        "unsorted points",
        {
            kind: "piecewise",
            points: [
                [3, 1],
                [2, 1],
            ],
        },
        /sorted by step: 2 comes after 3/,
    ],
    [
        "a point twice",
        {
            kind: "piecewise",
            points: [
                [3, 1],
                [3, 2],
            ],
        },
        /sorted by step/,
    ],
    ["an unknown interpolation", { kind: "piecewise", points: [[3, 1]], interpolate: "cubic" }, /"step", "linear"/],
    ["no phase", { kind: "phases" }, /strength must say at least one of prompt, generation and between/],
    ["no phase but empty markers", { kind: "phases", between: [] }, /at least one/],
    ["a wrong phase", { kind: "phases", prompt: { ...ramp, over: 0 } }, /strength\.prompt\.over/],
    [
        "a phase of an unknown kind",
        { kind: "phases", generation: { kind: "x" } },
        /generation\.kind .*"piecewise", not/,
    ],
    [
        "phases in phases",
        { kind: "phases", prompt: { kind: "phases", prompt: 1 } },
        /strength\.prompt .*whole schedules/,
    ],
    ["a function in phases", { kind: "phases", generation: () => 1 }, /strength\.generation .*whole schedules/],
    ["between that is no list", { kind: "phases", between: { inside: 1 } }, /strength\.between must be a list/],
    ["an entry that is no object", { kind: "phases", between: [3] }, /strength\.between\[0\] must be an object/],
    ["an entry without inside", { kind: "phases", between: [{ markers: ["a", "b"] }] }, /between\[0\]\.inside/],
    [
        "a function inside markers",
        { kind: "phases", between: [{ markers: ["a", "b"], inside: () => 1 }] },
        /between\[0\]\.inside .*whole schedules/,
    ],
    [
        "withMarkers that is text",
        { kind: "phases", between: [{ markers: ["a", "b"], inside: 1, withMarkers: "yes" }] },
        /between\[0\]\.withMarkers/,
    ],
];

test("wrong schedules are refused, with the name of the field", async (t) => {
    const { tokenizer } = await chatModel();
    const { compile } = await scheduleInternals();
    for (const [what, schedule, message, code = "INVALID_ARGUMENT"] of wrong) {
        const compiled = await expectCode(t, code, () => compile(schedule as Schedule, "strength", tokenizer), message);
        t.truthy(compiled, what);
        const error = t.throws(() => scheduleAt(schedule as FixedSchedule, 0), { instanceOf: SteerError }, what);
        t.is(error.code, code, what);
        t.regex(error.message, /schedule/, what);
    }
});

test("wrong markers are refused when they are compiled", async (t) => {
    const { tokenizer } = await chatModel();
    const { compile } = await scheduleInternals();
    for (const markers of [undefined, ["a"], ["a", "b", "c"], "ab", ["", "b"], ["a", 3], ["a", new Int32Array(0)]]) {
        const schedule = { kind: "phases", between: [{ markers, inside: 1 }] } as unknown as Schedule;
        await expectCode(t, "INVALID_ARGUMENT", () => compile(schedule, "strength", tokenizer), /marker/);
    }
});

test("wrong steps are refused", async (t) => {
    const phases: PhasesSchedule = { kind: "phases", between: [{ markers: ["a", "b"], inside: 1 }] };
    for (const [what, step] of wrongValues((value) => Number.isInteger(value) && Math.abs(value as number) < 2 ** 31)) {
        const error = t.throws(() => scheduleAt(1, step as number), { instanceOf: SteerError }, what);
        t.regex(error.message, /step/, what);
    }
    for (const inside of [1, -1, 0.5, NaN, null, "length"]) {
        await expectCode(t, "INVALID_ARGUMENT", () => scheduleAt(phases, 0, inside as number), /inside/);
    }
    await expectCode(t, "INVALID_ARGUMENT", () => scheduleAt(1, 0, 0), /inside/);
});

test("the native side takes nothing that no compiler made", async (t) => {
    const { values } = await scheduleInternals();
    const all = { scope: 0 };
    const phase = (...numbers: number[]): object => ({ tokens: all, segments: Float64Array.from(numbers) });
    const always = [-Infinity, 0, 1, 0, 0];
    const refused: readonly [schedule: unknown, message: RegExp, code?: "NOT_FINITE"][] = [
        [null, /schedule/],
        [{}, /phases/],
        [{ phases: "x" }, /phases/],
        [{ phases: [1] }, /schedule/],
        [{ phases: [{ tokens: all }] }, /Float64Array/],
        [{ phases: [{ tokens: all, segments: new Float32Array(5) }] }, /Float64Array/],
        [{ phases: [{ tokens: { scope: 8 }, segments: Float64Array.from(always) }] }, /schedule/],
        [{ phases: [phase()] }, /-infinity/],
        [{ phases: [phase(...always, 0)] }, /five numbers/],
        [{ phases: [phase(0, 0, 1, 0, 0)] }, /-infinity/],
        [{ phases: [phase(-Infinity, 1, 1, 0, 1)] }, /-infinity/],
        [{ phases: [phase(-Infinity, 0.5, 1, 0, 0)] }, /shape/],
        [{ phases: [phase(-Infinity, NaN, 1, 0, 0)] }, /shape/],
        [{ phases: [phase(-Infinity, -1, 1, 0, 0)] }, /shape/],
        [{ phases: [phase(-Infinity, 4, 1, 0, 0)] }, /shape/],
        [{ phases: [phase(-Infinity, 0, NaN, 0, 0)] }, /finite/, "NOT_FINITE"],
        [{ phases: [phase(...always, 3, 1, 1, 0, 0)] }, /segment 1, must be longer/],
        [{ phases: [phase(...always, 3, 0, 1, 0, 0, 3, 0, 1, 0, 0)] }, /ascending/],
        [{ phases: [phase(...always), phase(1, 0, 1, 0, 0)] }, /phase 1/],
    ];
    for (const [schedule, message, code = "INVALID_ARGUMENT"] of refused) {
        const call = (): unknown => values(schedule as never, new Int32Array(2), 1, new Float64Array(2));
        await expectCode(t, code, call, message);
    }
    const good = { phases: [phase(...always)] } as never;
    await expectCode(
        t,
        "INVALID_ARGUMENT",
        () => values(good, new Int32Array(2), 3, new Float64Array(2)),
        /promptTokens/,
    );
    await expectCode(t, "INVALID_ARGUMENT", () => values(good, new Int32Array(2), 1, new Float64Array(3)), /into/);
    t.deepEqual(values(good, new Int32Array(2), 1, new Float64Array(2)), Float64Array.of(1, 1));
});
