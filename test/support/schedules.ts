import type { PhasesSchedule, Schedule, StepSchedule, Tokenizer } from "llama-steer";
import { inRepository } from "./paths.js";

/** What schedules are compiled to, by the words of its documentation. */
export interface CompiledSchedule {
    phases: { tokens: { scope: number; open?: Int32Array; close?: Int32Array }; segments: Float64Array }[];
}

interface Internals {
    compile(schedule: Schedule, name: string, tokenizer: Tokenizer): CompiledSchedule & { live?: unknown };
    values(schedule: CompiledSchedule, tokens: Int32Array, promptTokens: number, into: Float64Array): Float64Array;
}

/** The compiler, and what evaluates its results natively: neither is public. */
export async function scheduleInternals(): Promise<Internals> {
    const { compileSchedule } = await import(inRepository("dist/schedule.js"));
    const { native } = await import(inRepository("dist/native.js"));
    return { compile: compileSchedule, values: (...given) => native.scheduleValues(...given) };
}

/** The value of compiled segments at a step: the last segment that has begun says it. */
export function segmentValue(segments: Float64Array, step: number): number {
    let value = Number.NaN;
    for (let i = 0; i < segments.length; i += 5) {
        const [begin = NaN, shape = NaN, from = NaN, to = NaN, length = NaN] = segments.subarray(i, i + 5);
        if (begin > step) {
            break;
        }
        const reached = (step - begin) / length;
        const share = Math.min(reached, 1);
        value = [
            (): number => from,
            (): number => from * (1 - share) + to * share,
            (): number => from + (to - from) * Math.sin((Math.PI * share) / 2) ** 2,
            (): number => to + (from - to) * Math.exp(-reached * Math.LN2),
        ][shape]?.() as number;
    }
    return value;
}

/** A schedule of the step alone, of any kind. */
export function randomStepSchedule(random: () => number): StepSchedule {
    const value = (): number => Math.round((random() * 8 - 4) * 64) / 64;
    const step = (): number => Math.floor(random() * 30) - 10;
    const maybe = <Key extends string, Value>(key: Key, of: () => Value): { [key in Key]?: Value } =>
        (random() < 0.5 ? { [key]: of() } : {}) as { [key in Key]?: Value };
    const kinds: (() => StepSchedule)[] = [
        value,
        () => ({ kind: "constant", value: value() }),
        () => {
            const from = step();
            const to = from + Math.floor(random() * 8);
            return {
                kind: "window",
                value: value(),
                ...maybe("from", () => from),
                ...maybe("to", () => to),
                ...maybe("outside", value),
            };
        },
        () => ({
            kind: "ramp",
            from: value(),
            to: value(),
            over: 1 + Math.floor(random() * 12),
            ...maybe("start", step),
            ...maybe("curve", () => (random() < 0.3 ? "linear" : "cosine")),
        }),
        () => ({
            kind: "decay",
            value: value(),
            halfLife: 0.1 + random() * 9,
            ...maybe("floor", value),
            ...maybe("start", step),
        }),
        () => {
            const steps = new Set(Array.from({ length: 1 + Math.floor(random() * 5) }, step));
            const points = [...steps].sort((a, b) => a - b).map((at): [number, number] => [at, value()]);
            return { kind: "piecewise", points, ...maybe("interpolate", () => (random() < 0.3 ? "step" : "linear")) };
        },
    ];
    return (kinds[Math.floor(random() * kinds.length)] as () => StepSchedule)();
}

/** Phases with two think blocks of other markers; at least one part. */
export function randomPhases(random: () => number, markers: readonly [Int32Array, Int32Array][]): PhasesSchedule {
    const between = markers
        .filter(() => random() < 0.6)
        .map((pair) => ({ markers: pair, withMarkers: random() < 0.5, inside: randomStepSchedule(random) }));
    return {
        kind: "phases",
        ...(random() < 0.7 ? { prompt: randomStepSchedule(random) } : {}),
        ...(random() < 0.7 || between.length === 0 ? { generation: randomStepSchedule(random) } : {}),
        ...(between.length > 0 ? { between } : {}),
    };
}
