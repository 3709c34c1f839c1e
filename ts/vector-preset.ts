import { z } from "zod";
import { checkFinite, checkObject, describe } from "./check.js";
import type { Condition } from "./condition.js";
import type { FixedSchedule } from "./schedule.js";
import { checkFixedSchedule } from "./schedule-checks.js";
import type { Sequence } from "./sequence.js";
import { SteerError } from "./steer-error.js";
import { operations, type SteerOptions } from "./steer-options.js";
import type { Steering } from "./steering.js";
import { SteeringVector } from "./steering-vector.js";
import type { TokenSelection } from "./token-selection.js";

/** A comparison of {@link Condition} with its direction: what a file can hold of it. */
export interface PresetCondition {
    /** [hiddenSize] */
    direction: Float32Array;
    layer: number;
    threshold: number;
    compare: "above" | "below";
    measure: "cosine" | "projection";
    decide: "token" | "last-prompt" | "prompt-mean" | "prompt-any";
}

/** One intervention along a vector, as its file keeps it. */
export interface PresetIntervention {
    operation: "add" | "ablate" | "clamp" | "set";
    /** Layers of the vector. */
    layers: readonly number[];
    /** Default `"all"`. */
    tokens?: TokenSelection | undefined;
    /** Default 1. */
    strength?: FixedSchedule | undefined;
    /** Bounds of a clamp, in the model's own units; open where left out. */
    low?: number | undefined;
    high?: number | undefined;
    /** Of `"set"`. */
    value?: number | undefined;
}

/** How a vector is meant to be used: what `fit` found best. */
export interface VectorPreset {
    /** In their order; at most 256. */
    interventions: readonly PresetIntervention[];
    /** Under which all of them act; all must be fulfilled. Default: always. */
    when?: readonly PresetCondition[] | undefined;
}

const key = "preset";
const number = z.number();
const layer = z.int().min(0);
const condition = z.strictObject({
    direction: z.base64().transform((text, context) => {
        const bytes = Buffer.from(text, "base64");
        if (bytes.length === 0 || bytes.length % 4 !== 0) {
            context.addIssue("must be whole float32 numbers");
            return z.NEVER;
        }
        return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
    }),
    layer,
    threshold: number,
    compare: z.enum(["above", "below"]),
    measure: z.enum(["cosine", "projection"]),
    decide: z.enum(["token", "last-prompt", "prompt-mean", "prompt-any"]),
});
const intervention = z.strictObject({
    operation: z.enum(operations).extract(["add", "ablate", "clamp", "set"]),
    layers: z.array(layer).min(1),
    // What it may be, steering checks.
    tokens: z.custom<TokenSelection>(isPresent).optional(),
    strength: z
        .unknown()
        .transform((value, context): FixedSchedule => {
            try {
                checkFixedSchedule(value, "strength");
                return value;
            } catch (error) {
                context.addIssue((error as Error).message);
                return z.NEVER;
            }
        })
        .optional(),
    low: number.optional(),
    high: number.optional(),
    value: number.optional(),
});
const preset = z.strictObject({
    interventions: z.array(intervention).min(1).max(256),
    when: z.array(condition).min(1).max(8).optional(),
});

function isPresent(value: unknown): boolean {
    return value !== null && value !== undefined;
}

/**
 * The vector with how it is to be used, which its file then holds as well.
 *
 * @throws SteerError LAYER_OUT_OF_RANGE, WIDTH_MISMATCH (of a condition), INVALID_ARGUMENT (also where it is too long for a
 *   file)
 */
export function withPreset(vector: SteeringVector, given: VectorPreset): SteeringVector {
    checkVector(vector);
    checkObject(given, "preset");
    const when = given.when?.map((each) => ({ ...each, direction: encoded(each.direction) }));
    const text = JSON.stringify({ ...given, when });
    fits(
        vector,
        parsed(text, (reason) => new SteerError("INVALID_ARGUMENT", `the preset is not usable: ${reason}`)),
    );
    return vector.withMetadata({ [key]: text });
}

/**
 * How a vector is meant to be used; undefined where it does not say.
 *
 * @throws SteerError DATA_DAMAGED, LAYER_OUT_OF_RANGE, WIDTH_MISMATCH
 */
export function presetOf(vector: SteeringVector): VectorPreset | undefined {
    checkVector(vector);
    const text = vector.metadata[key];
    if (typeof text !== "string") {
        return undefined;
    }
    const found = parsed(text, (reason) => new SteerError("DATA_DAMAGED", `the vector's preset is damaged: ${reason}`));
    fits(vector, found);
    return found;
}

export interface SteerAsSavedOptions {
    /** Times what the preset says, or the strength of all layers where there is none. Default 1. */
    strength?: number | undefined;
}

/**
 * Steers a sequence as the vector's file says: layers, tokens, strengths, schedules and conditions. A vector without a preset
 * acts at all its layers and on all tokens. `strength` scales what is added, and how far a clamp, set or ablation goes.
 *
 * @returns the interventions, in their order
 * @throws SteerError as {@link Sequence.steer}, DATA_DAMAGED; then nothing is steered
 */
export function steerAsSaved(
    sequence: Sequence,
    vector: SteeringVector,
    options: SteerAsSavedOptions = {},
): Steering[] {
    checkObject(options, "options");
    const { strength = 1 } = options;
    checkFinite(strength, "strength");
    const saved = savedOf(vector);
    if (saved === undefined) {
        return [sequence.steer(vector, { strength })];
    }
    const made: Steering[] = [];
    try {
        for (const each of saved.interventions) {
            made.push(sequence.steer(vector, { ...steerOptions(each, strength), ...saved.when }));
        }
    } catch (error) {
        for (const each of made) {
            each.remove();
        }
        throw error;
    }
    return made;
}

/** Presets read before: sequences that are steered alike share the directions of their conditions. */
const read = new WeakMap<
    SteeringVector,
    { interventions: readonly PresetIntervention[]; when: { when?: Condition } }
>();

function savedOf(vector: SteeringVector) {
    checkVector(vector);
    let saved = read.get(vector);
    const found = saved === undefined ? presetOf(vector) : undefined;
    if (found !== undefined) {
        saved = { interventions: found.interventions, when: conditionOf(vector, found.when ?? []) };
        read.set(vector, saved);
    }
    return saved;
}

function steerOptions(each: PresetIntervention, factor: number): SteerOptions {
    const { strength = 1, ...rest } = each;
    const given = Object.entries({ ...rest, strength: factor === 1 ? strength : scaledSchedule(strength, factor) });
    return Object.fromEntries(given.filter(([, value]) => value !== undefined)) as SteerOptions;
}

function conditionOf(vector: SteeringVector, when: readonly PresetCondition[]): { when?: Condition } {
    const { site } = vector.metadata;
    const all = when.map(({ direction, layer: at, ...rest }): Condition => {
        const along = new SteeringVector([at], direction, { metadata: { site } });
        return { vector: along, layer: at, site, ...rest };
    });
    return all.length === 0 ? {} : { when: all.length === 1 ? (all[0] as Condition) : { all } };
}

/** A description of a schedule with all strengths in it times `factor`. */
function scaledSchedule(schedule: FixedSchedule, factor: number): FixedSchedule {
    if (typeof schedule === "number") {
        return schedule * factor;
    }
    switch (schedule.kind) {
        case "constant":
            return { ...schedule, value: schedule.value * factor };
        case "window":
            return { ...schedule, value: schedule.value * factor, outside: (schedule.outside ?? 0) * factor };
        case "ramp":
            return { ...schedule, from: schedule.from * factor, to: schedule.to * factor };
        case "decay":
            return { ...schedule, value: schedule.value * factor, floor: (schedule.floor ?? 0) * factor };
        case "piecewise":
            return { ...schedule, points: schedule.points.map(([step, value]) => [step, value * factor] as const) };
        case "phases": {
            const { prompt, generation, between } = schedule;
            const scaled = (one: FixedSchedule) =>
                scaledSchedule(one, factor) as Exclude<FixedSchedule, { kind: "phases" }>;
            return {
                kind: "phases",
                ...(prompt === undefined ? {} : { prompt: scaled(prompt) }),
                ...(generation === undefined ? {} : { generation: scaled(generation) }),
                ...(between === undefined
                    ? {}
                    : { between: between.map((one) => ({ ...one, inside: scaled(one.inside) })) }),
            };
        }
    }
}

function parsed(text: string, failure: (reason: string) => SteerError): VectorPreset {
    let value: unknown;
    try {
        value = JSON.parse(text);
    } catch {
        throw failure("it is not JSON");
    }
    const result = preset.safeParse(value);
    if (!result.success) {
        const [issue] = result.error.issues;
        throw failure(`${issue?.path.join(".")}: ${issue?.message}`);
    }
    return result.data;
}

function fits(vector: SteeringVector, found: VectorPreset): void {
    for (const { layers } of found.interventions) {
        vector.select(layers);
    }
    for (const { direction } of found.when ?? []) {
        if (direction.length !== vector.hiddenSize) {
            throw new SteerError(
                "WIDTH_MISMATCH",
                `a condition of the preset is ${direction.length} wide, the vector ${vector.hiddenSize}`,
            );
        }
    }
}

function encoded(direction: Float32Array): string {
    const bytes = Buffer.alloc(direction.length * 4);
    direction.forEach((value, i) => {
        bytes.writeFloatLE(value, 4 * i);
    });
    return bytes.toString("base64");
}

function checkVector(vector: unknown): asserts vector is SteeringVector {
    if (!(vector instanceof SteeringVector)) {
        throw new SteerError("INVALID_ARGUMENT", `vector must be a SteeringVector, not ${describe(vector)}`);
    }
}
