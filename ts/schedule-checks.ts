import { checkBoolean, checkFinite, checkObject, checkOneOf, describe } from "./check.js";
import type { FixedSchedule, Schedule } from "./schedule.js";
import { SteerError } from "./steer-error.js";

/** How a ramp goes. */
export const rampCurves = ["linear", "cosine"] as const;
/** How points are joined. */
export const interpolations = ["step", "linear"] as const;

/** What a schedule of a kind must hold, as a caller without types may give it. */
type Fields = Record<string, unknown>;

const stepKinds: Record<string, (fields: Fields, name: string) => void> = {
    constant: checkConstant,
    window: checkWindow,
    ramp: checkRamp,
    decay: checkDecay,
    piecewise: checkPiecewise,
};

/** Refuses what is no schedule. @throws SteerError INVALID_ARGUMENT, NOT_FINITE */
export function checkSchedule(schedule: unknown, name: string): asserts schedule is Schedule {
    if (typeof schedule !== "function") {
        checkFixedSchedule(schedule, name);
    }
}

/** Refuses functions too. @throws SteerError INVALID_ARGUMENT, NOT_FINITE */
export function checkFixedSchedule(schedule: unknown, name: string): asserts schedule is FixedSchedule {
    if (typeof schedule === "function") {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `${name} is a function, whose values nobody knows before it runs: call it, or describe the schedule`,
        );
    }
    if (typeof schedule === "object" && schedule !== null && (schedule as Fields).kind === "phases") {
        checkPhases(schedule as Fields, name);
    } else {
        checkPart(schedule, name, [...Object.keys(stepKinds), "phases"]);
    }
}

/** Refuses what cannot be a step. @throws SteerError INVALID_ARGUMENT, NOT_FINITE */
export function checkStep(value: unknown, name: string): asserts value is number {
    if (typeof value === "number" && !Number.isFinite(value)) {
        throw new SteerError("NOT_FINITE", `${name} must be a step, not ${value}: leave it out where it is open`);
    }
    if (!Number.isInteger(value) || Math.abs(value as number) > 0x7fffffff) {
        throw new SteerError("INVALID_ARGUMENT", `${name} must be a step, a whole number, not ${describe(value)}`);
    }
}

/** Refuses what is no schedule of the step alone. */
function checkPart(schedule: unknown, name: string, kinds = Object.keys(stepKinds)): void {
    if (typeof schedule === "number") {
        checkFinite(schedule, name);
        return;
    }
    checkObject(schedule, name);
    const fields = schedule as Fields;
    checkOneOf(fields.kind, kinds, `${name}.kind`);
    stepKinds[fields.kind]?.(fields, name);
}

function checkPhases({ prompt, generation, between }: Fields, name: string): void {
    if (between !== undefined && !Array.isArray(between)) {
        throw new SteerError("INVALID_ARGUMENT", `${name}.between must be a list, not ${describe(between)}`);
    }
    if (prompt === undefined && generation === undefined && !between?.length) {
        throw new SteerError("INVALID_ARGUMENT", `${name} must say at least one of prompt, generation and between`);
    }
    checkIfGiven(prompt, `${name}.prompt`, checkPhase);
    checkIfGiven(generation, `${name}.generation`, checkPhase);
    for (const [i, entry] of (between ?? []).entries()) {
        checkObject(entry, `${name}.between[${i}]`);
        const { withMarkers, inside } = entry as Fields;
        checkIfGiven(withMarkers, `${name}.between[${i}].withMarkers`, checkBoolean);
        checkPhase(inside, `${name}.between[${i}].inside`);
    }
}

function checkPhase(schedule: unknown, name: string): void {
    if (typeof schedule === "function" || (schedule as Fields | null | undefined)?.kind === "phases") {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `${name} must be a number or a schedule that the step alone decides: phases and functions are whole schedules`,
        );
    }
    checkPart(schedule, name);
}

function checkConstant({ value }: Fields, name: string): void {
    checkFinite(value, `${name}.value`);
}

function checkWindow({ value, from, to, outside }: Fields, name: string): void {
    checkFinite(value, `${name}.value`);
    checkIfGiven(from, `${name}.from`, checkStep);
    checkIfGiven(to, `${name}.to`, checkStep);
    checkIfGiven(outside, `${name}.outside`, checkFinite);
    if (from !== undefined && to !== undefined && (from as number) > (to as number)) {
        throw new SteerError("INVALID_ARGUMENT", `${name}.from must not lie after ${name}.to: ${from} > ${to}`);
    }
}

function checkRamp({ from, to, over, start, curve }: Fields, name: string): void {
    checkFinite(from, `${name}.from`);
    checkFinite(to, `${name}.to`);
    checkStep(over, `${name}.over`);
    if (over <= 0) {
        throw new SteerError("INVALID_ARGUMENT", `${name}.over must be 1 step or more, not ${over}`);
    }
    checkIfGiven(start, `${name}.start`, checkStep);
    if (curve !== undefined) {
        checkOneOf(curve, rampCurves, `${name}.curve`);
    }
}

function checkDecay({ value, halfLife, floor, start }: Fields, name: string): void {
    checkFinite(value, `${name}.value`);
    checkFinite(halfLife, `${name}.halfLife`);
    if (halfLife <= 0) {
        throw new SteerError("INVALID_ARGUMENT", `${name}.halfLife must be more than 0 steps, not ${halfLife}`);
    }
    checkIfGiven(floor, `${name}.floor`, checkFinite);
    checkIfGiven(start, `${name}.start`, checkStep);
}

function checkPiecewise({ points, interpolate }: Fields, name: string): void {
    if (!Array.isArray(points) || points.length === 0) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `${name}.points must be a list of at least one [step, value], not ${describe(points)}`,
        );
    }
    for (const [i, point] of points.entries()) {
        if (!Array.isArray(point) || point.length !== 2) {
            throw new SteerError(
                "INVALID_ARGUMENT",
                `${name}.points[${i}] must be [step, value], not ${describe(point)}`,
            );
        }
        checkStep(point[0], `the step of ${name}.points[${i}]`);
        checkFinite(point[1], `the value of ${name}.points[${i}]`);
        if (i > 0 && point[0] <= points[i - 1][0]) {
            throw new SteerError(
                "INVALID_ARGUMENT",
                `${name}.points must be sorted by step: ${point[0]} comes after ${points[i - 1][0]}`,
            );
        }
    }
    if (interpolate !== undefined) {
        checkOneOf(interpolate, interpolations, `${name}.interpolate`);
    }
}

function checkIfGiven(value: unknown, name: string, check: (value: unknown, name: string) => void): void {
    if (value !== undefined) {
        check(value, name);
    }
}
