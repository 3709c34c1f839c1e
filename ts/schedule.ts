import { describe } from "./check.js";
import type { NativeSchedule } from "./native.js";
import {
    checkFixedSchedule,
    checkSchedule,
    checkStep,
    type interpolations,
    type rampCurves,
} from "./schedule-checks.js";
import { SteerError } from "./steer-error.js";
import { compileSelection, type Marker } from "./token-selection.js";
import type { Tokenizer } from "./tokenizer.js";

/** Where a {@link ScheduleFunction} is asked: the token that the forward pass is about. */
export interface ScheduleStep {
    /** 0 for the last prompt token, 1 for the answer's first token, 2, ...; prompt tokens before are negative. */
    step: number;
    /** Position in the sequence, counted from its first token. */
    position: number;
    /** `"prompt"` up to step 0, `"generation"` from step 1 on. */
    phase: "prompt" | "generation";
    /** The token's id, where it is known. */
    token?: number;
}

/** A strength as code, called once per forward pass. */
export type ScheduleFunction = (step: ScheduleStep) => number;

/** One strength, always. The number alone means the same. */
export interface ConstantSchedule {
    kind: "constant";
    value: number;
}

/** `value` at the steps `from` to `to`, both included; either may be left out. Elsewhere `outside` (default 0). */
export interface WindowSchedule {
    kind: "window";
    value: number;
    from?: number;
    to?: number;
    outside?: number;
}

/** `from` up to step `start` (default 0), `to` from step `start + over` on; `"linear"` (default) or half a cosine between. */
export interface RampSchedule {
    kind: "ramp";
    from: number;
    to: number;
    /** In steps, 1 or more. */
    over: number;
    start?: number;
    curve?: (typeof rampCurves)[number];
}

/** `value` up to step `start` (default 0), then floor + (value - floor) · 2^(-(step - start) / halfLife). */
export interface DecaySchedule {
    kind: "decay";
    value: number;
    /** Steps in which the distance from `floor` halves. */
    halfLife: number;
    /** What it comes down to. Default 0. */
    floor?: number;
    start?: number;
}

/**
 * Values at given steps, ascending. `"step"` (default) holds each until the next point, `"linear"` joins them. Before the
 * first point its value holds, after the last that one's.
 */
export interface PiecewiseSchedule {
    kind: "piecewise";
    points: readonly (readonly [step: number, value: number])[];
    interpolate?: (typeof interpolations)[number];
}

/** A strength that the step alone decides. */
export type StepSchedule =
    | number
    | ConstantSchedule
    | WindowSchedule
    | RampSchedule
    | DecaySchedule
    | PiecewiseSchedule;

/** The schedule of the tokens between two markers, as in {@link TokenSelection}. */
export interface MarkedSchedule {
    markers: readonly [open: Marker, close: Marker];
    /** The tokens that complete the markers count as inside too. Default false. */
    withMarkers?: boolean;
    inside: StepSchedule;
}

/**
 * A schedule for each part of a conversation; at least one. `prompt` holds for prompt tokens, the last included (steps up
 * to 0), and `generation` for those of the answer (from step 1 on), as the token selections of like names; what is left out
 * is 0. Between markers, such as the tags of a think block, the first entry of `between` whose markers enclose the token
 * holds instead. The clock runs on from part to part.
 */
export interface PhasesSchedule {
    kind: "phases";
    prompt?: StepSchedule;
    generation?: StepSchedule;
    between?: readonly MarkedSchedule[];
}

/** A schedule that is a description, not code. */
export type FixedSchedule = StepSchedule | PhasesSchedule;

/**
 * A strength that may change from token to token. Its clock is the step: 0 for the last prompt token, which chooses the
 * answer's first token, 1 for that token, 2, ...; prompt tokens before it are negative. A prompt that is evaluated in
 * pieces has steps once its end is known, and until then lies far before all others.
 */
export type Schedule = FixedSchedule | ScheduleFunction;

/**
 * The strength that a schedule gives to a token at `step`, in float64; for a look at it before it is used.
 *
 * @param inside the entry of `between`, counted from 0, whose markers enclose the token; none where left out
 * @throws SteerError INVALID_ARGUMENT (also for functions, which can be called as they are), NOT_FINITE
 */
export function scheduleAt(schedule: FixedSchedule, step: number, inside?: number): number {
    checkFixedSchedule(schedule, "schedule");
    checkStep(step, "step");
    const phases = typeof schedule === "object" && schedule.kind === "phases" ? schedule : undefined;
    if (inside !== undefined) {
        const entry = Number.isInteger(inside) ? phases?.between?.[inside] : undefined;
        if (entry === undefined) {
            throw new SteerError("INVALID_ARGUMENT", `inside must be an index of between, not ${describe(inside)}`);
        }
        return valueAt(entry.inside, step);
    }
    if (phases !== undefined) {
        return valueAt((step <= 0 ? phases.prompt : phases.generation) ?? 0, step);
    }
    return valueAt(schedule as StepSchedule, step);
}

function valueAt(schedule: StepSchedule, step: number): number {
    if (typeof schedule === "number") {
        return schedule;
    }
    switch (schedule.kind) {
        case "constant":
            return schedule.value;
        case "window": {
            const { value, from = -Infinity, to = Infinity, outside = 0 } = schedule;
            return step >= from && step <= to ? value : outside;
        }
        case "ramp":
            return rampAt(schedule, step);
        case "decay": {
            const { value, halfLife, floor = 0, start = 0 } = schedule;
            return step <= start ? value : floor + (value - floor) * 2 ** (-(step - start) / halfLife);
        }
        case "piecewise":
            return pointsAt(schedule, step);
    }
}

function rampAt({ from, to, over, start = 0, curve = "linear" }: RampSchedule, step: number): number {
    if (step <= start) {
        return from;
    }
    if (step >= start + over) {
        return to;
    }
    const share = (step - start) / over;
    return from + (to - from) * (curve === "linear" ? share : (1 - Math.cos(Math.PI * share)) / 2);
}

function pointsAt({ points, interpolate = "step" }: PiecewiseSchedule, step: number): number {
    const next = points.findIndex(([at]) => at > step);
    const [before, value] = points.at(next < 0 ? -1 : Math.max(next - 1, 0)) as readonly [number, number];
    if (next <= 0 || interpolate === "step") {
        return value;
    }
    const [after, nextValue] = points[next] as readonly [number, number];
    return value + ((nextValue - value) * (step - before)) / (after - before);
}

/** Numbers of a segment: the step it begins at, its shape, from, to, length in steps. See {@link NativeSchedule}. */
type Segment = [begin: number, shape: number, from: number, to: number, length: number];

const [constant, linear, cosine, exponential] = [0, 1, 2, 3];

/**
 * Checked, and as the native side takes it; a function as `{ live }`.
 *
 * @throws SteerError INVALID_ARGUMENT, NOT_FINITE
 * @internal
 */
export function compileSchedule(
    schedule: Schedule,
    name: string,
    tokenizer: Tokenizer,
): NativeSchedule | { live: ScheduleFunction } {
    checkSchedule(schedule, name);
    if (typeof schedule === "function") {
        return { live: schedule };
    }
    if (typeof schedule === "number" || schedule.kind !== "phases") {
        return { phases: [{ tokens: compileSelection("all", name, tokenizer), segments: segmentsOf(schedule) }] };
    }
    const { between = [], prompt = 0, generation = 0 } = schedule;
    const marked = between.map(({ markers, withMarkers = false, inside }, i) => ({
        tokens: compileSelection({ between: markers, withMarkers }, `${name}.between[${i}]`, tokenizer),
        segments: segmentsOf(inside),
    }));
    return {
        phases: [
            ...marked,
            { tokens: compileSelection("prompt", name, tokenizer), segments: segmentsOf(prompt) },
            { tokens: compileSelection("generated", name, tokenizer), segments: segmentsOf(generation) },
        ],
    };
}

function segmentsOf(schedule: StepSchedule): Float64Array {
    return Float64Array.from((typeof schedule === "number" ? [always(schedule)] : described(schedule)).flat());
}

function described(schedule: Exclude<StepSchedule, number>): Segment[] {
    switch (schedule.kind) {
        case "constant":
            return [always(schedule.value)];
        case "window": {
            const { value, from, to, outside = 0 } = schedule;
            const first = from === undefined ? [always(value)] : [always(outside), held(from, value)];
            return to === undefined ? first : [...first, held(to + 1, outside)];
        }
        case "ramp": {
            const { from, to, over, start = 0, curve = "linear" } = schedule;
            return [always(from), [start, curve === "linear" ? linear : cosine, from, to, over]];
        }
        case "decay": {
            const { value, halfLife, floor = 0, start = 0 } = schedule;
            return [always(value), [start, exponential, value, floor, halfLife]];
        }
        case "piecewise": {
            const { points, interpolate = "step" } = schedule;
            const joined = points.map(([step, value], i): Segment => {
                const next = points[i + 1];
                return interpolate === "step" || next === undefined
                    ? held(step, value)
                    : [step, linear, value, next[1], next[0] - step];
            });
            return [always((points[0] as readonly [number, number])[1]), ...joined];
        }
    }
}

function always(value: number): Segment {
    return held(-Infinity, value);
}

function held(begin: number, value: number): Segment {
    return [begin, constant, value, 0, 0];
}
