import { z } from "zod";
import { type Condition, type Schedule, type Sequence, type SteerOptions, steerAsSaved } from "../index.js";
import type { RequestSteering } from "./serve-request.js";
import type { VectorRegistry } from "./vector-registry.js";

/** Interventions that one request may have. */
const mostInterventions = 8;
const mostPoints = 64;
const steps = z
    .int()
    .min(-(2 ** 24))
    .max(2 ** 24);

/** A strength, as a number or as a schedule of which no value exceeds `bound`. */
function scheduleSchema(bound: number) {
    const value = z.number().min(-bound).max(bound);
    const step = z.union([
        value,
        z.strictObject({ kind: z.literal("constant"), value }),
        z.strictObject({
            kind: z.literal("window"),
            value,
            from: steps.optional(),
            to: steps.optional(),
            outside: value.optional(),
        }),
        z.strictObject({
            kind: z.literal("ramp"),
            from: value,
            to: value,
            over: steps,
            start: steps.optional(),
            curve: z.enum(["linear", "cosine"]).optional(),
        }),
        z.strictObject({
            kind: z.literal("decay"),
            value,
            halfLife: z.number().positive(),
            floor: value.optional(),
            start: steps.optional(),
        }),
        z.strictObject({
            kind: z.literal("piecewise"),
            points: z
                .array(z.tuple([steps, value]))
                .min(1)
                .max(mostPoints),
            interpolate: z.enum(["step", "linear"]).optional(),
        }),
    ]);
    const phases = z.strictObject({ kind: z.literal("phases"), prompt: step.optional(), generation: step.optional() });
    return z.union([step, phases]);
}

const layer = z.int().min(0);
const name = z.string();
const condition = z.strictObject({
    vector: name,
    layer,
    threshold: z.number(),
    compare: z.enum(["above", "below"]).optional(),
    measure: z.enum(["cosine", "projection"]).optional(),
    decide: z.enum(["token", "last-prompt", "prompt-mean", "prompt-any"]).optional(),
});

/**
 * The `steering` field of a body: one intervention or a list. With a vector and a number as strength alone, it is used as its
 * file says, or added at all its layers and tokens; with anything else, as the field says.
 */
export function steeringSchema(strengthBound: number) {
    const intervention = z.strictObject({
        vector: name,
        strength: scheduleSchema(strengthBound).optional(),
        operation: z.enum(["add", "ablate"]).optional(),
        layers: z
            .union([
                z.literal("all"),
                layer,
                z.array(layer).min(1).max(1024),
                z.strictObject({ from: layer.optional(), to: layer.optional() }),
            ])
            .optional(),
        tokens: z.enum(["all", "prompt", "last-prompt", "generated", "last-prompt-and-generated"]).optional(),
        unit: z.enum(["raw", "norm"]).optional(),
        preserveNorm: z.boolean().optional(),
        when: condition.optional(),
    });
    return z.union([z.array(intervention).max(mostInterventions), intervention.transform((each) => [each])]);
}

export type SteeringField = z.output<ReturnType<typeof steeringSchema>>;

/**
 * What a request's field and the operator's own interventions come to; undefined for nothing. The operator's come last, so
 * that they act on what the request's have made.
 *
 * @throws ApiError 400 for a name that is not registered
 */
export function requestSteering(
    field: SteeringField,
    vectors: VectorRegistry,
    fixed: RequestSteering | undefined,
): RequestSteering | undefined {
    if (field.length === 0) {
        return fixed;
    }
    const steers = field.map((each) => {
        const { vector: vectorName, ...rest } = each;
        const vector = vectors.find(vectorName);
        const condition = rest.when === undefined ? undefined : vectors.find(rest.when.vector);
        const numbers = [vector, condition].map((one) => (one === undefined ? -1 : vectors.numberOf(one)));
        const apply = (sequence: Sequence): void => {
            const { strength, ...others } = rest;
            if (Object.keys(others).length === 0 && (strength === undefined || typeof strength === "number")) {
                steerAsSaved(sequence, vector, { strength });
                return;
            }
            const when = rest.when === undefined ? {} : { when: { ...rest.when, vector: condition } as Condition };
            sequence.steer(vector, { ...others, ...strengthOption(strength), ...when } as SteerOptions);
        };
        return { key: JSON.stringify([numbers, rest]), apply };
    });
    if (fixed !== undefined) {
        steers.push(fixed);
    }
    return {
        key: steers.map(({ key }) => key).join(),
        apply: (sequence) => {
            for (const { apply } of steers) {
                apply(sequence);
            }
        },
    };
}

function strengthOption(strength: unknown): { strength?: Schedule } {
    return strength === undefined ? {} : { strength: strength as Schedule };
}
