import {
    type PresetCondition,
    type PresetIntervention,
    type SteeringVector,
    steerAsSaved,
    type TokenSelection,
    type VectorPreset,
    withPreset,
} from "../index.js";
import type { AnswerSteering } from "./answers.js";
import { contentKey } from "./content-key.js";
import { directionAt, type RefusalDirections } from "./refusal-fit.js";

/** Whether refusals of target prompts are to go or to come. */
export type Goal = "reduce" | "induce";

/** What may be done along a direction: add to it, or hold the projection on one side of a bound. */
export const candidateOperations = ["add", "clamp"] as const;
export type CandidateOperation = (typeof candidateOperations)[number];

/** Tokens that it is done at; `"decaying"`: the last of the prompt and those generated, less and less. */
export const candidateScopes = ["last-prompt", "last-prompt-and-generated", "all", "decaying"] as const;
export type CandidateScope = (typeof candidateScopes)[number];

/** In how many steps a decaying strength halves. */
const halfLife = 4;

/** A way to steer. */
export interface Candidate {
    directions: RefusalDirections;
    /** Neighbours, ascending. */
    layers: readonly number[];
    operation: CandidateOperation;
    /**
     * How far, over all its layers together, from the refused prompts' mean projection to that of the answered ones (induce:
     * the other way). 1: onto it; more: beyond. A clamp has the bound there at each layer.
     */
    strength: number;
    scope: CandidateScope;
    /** Under which it acts; none: always. */
    condition: PresetCondition | undefined;
}

/** The candidate as a vector with its preset: what is saved, and what is tried. */
export function steeringOf(candidate: Candidate, goal: Goal): SteeringVector {
    const { directions, layers, operation, condition } = candidate;
    const sign = goal === "reduce" ? -1 : 1;
    const chosen = directions.vector.select([...layers]);
    const when = condition === undefined ? {} : { when: [condition] };
    const preset = (interventions: readonly PresetIntervention[]): VectorPreset => ({ interventions, ...when });
    if (operation === "add") {
        // Its length is the gap between the classes: scaled, the file's own strength is 1.
        const vector = chosen.scale((sign * candidate.strength) / layers.length);
        return withPreset(
            vector.withMetadata({ operation: "add" }),
            preset([{ operation, layers, ...actingAt(candidate) }]),
        );
    }
    const interventions = layers.map((layer): PresetIntervention => {
        const bound = boundAt(candidate, layer, goal);
        return {
            operation,
            layers: [layer],
            ...actingAt(candidate),
            ...(goal === "reduce" ? { high: bound } : { low: bound }),
        };
    });
    return withPreset(chosen.withMetadata({ operation: "clamp" }), preset(interventions));
}

/** From the one class's mean projection towards the other's. */
function boundAt({ directions, strength }: Candidate, layer: number, goal: Goal): number {
    const { refused, complied } = directionAt(directions, layer);
    const [from, to] = goal === "reduce" ? [refused, complied] : [complied, refused];
    return from + strength * (to - from);
}

function actingAt({ scope }: Candidate): Pick<PresetIntervention, "tokens" | "strength"> {
    if (scope === "decaying") {
        return { tokens: "last-prompt-and-generated", strength: { kind: "decay", value: 1, halfLife } };
    }
    return { tokens: scope satisfies TokenSelection };
}

/** What answers sampled under a vector are kept under. */
export function answerSteering(vector: SteeringVector, strength = 1): AnswerSteering {
    return {
        key: contentKey(vector.data, vector.layers, vector.metadata.preset, strength),
        apply: (sequence) => void steerAsSaved(sequence, vector, { strength }),
    };
}

/** Tells candidates apart. */
export function candidateKey({ directions, layers, operation, strength, scope, condition }: Candidate): string {
    return contentKey(directions.key, layers, operation, strength.toPrecision(6), scope, condition?.threshold ?? null);
}

/** In a few words. */
export function describeCandidate({ directions, layers, operation, strength, scope, condition }: Candidate): string {
    const { method, lambda, preserveMode } = directions.spec;
    const [first, last] = [layers[0], layers.at(-1)];
    const where = first === last ? `layer ${first}` : `layers ${first}-${last}`;
    const fitted = [method, lambda === undefined ? "" : `λ ${lambda}`, preserveMode ?? ""].filter(
        (each) => each !== "",
    );
    const when = condition === undefined ? "" : `, under a condition at layer ${condition.layer}`;
    return `${fitted.join(" ")}, ${operation} ${strength.toFixed(2)} at ${where}, ${scope}${when}`;
}
