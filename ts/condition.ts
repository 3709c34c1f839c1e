import { checkFinite, checkLayer, checkObject, checkOneOf, checkString, describe } from "./check.js";
import type { NativeCondition, NativeDirections } from "./native.js";
import { SteerError } from "./steer-error.js";
import { SteeringVector } from "./steering-vector.js";

const comparisons = ["above", "below"] as const;
const measures = ["cosine", "projection"] as const;
const latches = ["token", "last-prompt", "prompt-mean", "prompt-any"] as const;
/** As the native side numbers them. */
const rules = { compare: 0, all: 1, any: 2, not: 3 } as const;

/** One comparison: what arrives at a site, along the direction of a condition vector, against a threshold. */
export interface Comparison {
    /** The condition vector; its length does not matter. */
    vector: SteeringVector;
    /** Where it is measured: one of the vector's layers. */
    layer: number;
    /** Default `"residual"`. */
    site?: string;
    threshold: number;
    /** Fulfilled `"above"` (default) the threshold, or `"below"` it. */
    compare?: (typeof comparisons)[number];
    /** The `"cosine"` of row and vector (default), as CAST has it, or the row's `"projection"` on it. */
    measure?: (typeof measures)[number];
    /**
     * Decided for every `"token"` by its own row (default); or once for a prompt, for its last token and the answer: by the
     * `"last-prompt"` token, by the mean over the prompt's tokens (`"prompt-mean"`), or if any of them fulfils it
     * (`"prompt-any"`). Tokens before the last of the prompt are not steered by a condition that the prompt decides; the
     * last one is at the places that the model computes after the one that is measured.
     */
    decide?: (typeof latches)[number];
}

/**
 * When an intervention acts: Conditional Activation Steering (CAST, arXiv 2409.05907). Every sequence of a batch decides
 * for itself. As long as one of the comparisons is undecided, the intervention does not act.
 */
export type Condition = Comparison | { all: readonly Condition[] } | { any: readonly Condition[] } | { not: Condition };

/** Conditions within conditions; also what one that holds itself comes to. */
const deepest = 32;

/** @internal @throws SteerError INVALID_ARGUMENT, NOT_FINITE, LAYER_OUT_OF_RANGE, ZERO_VECTOR */
export function compileCondition(
    condition: Condition,
    directionsOf: (vector: SteeringVector) => NativeDirections,
    depth = 0,
): NativeCondition {
    checkObject(condition, "when");
    if (depth > deepest) {
        throw new SteerError("INVALID_ARGUMENT", `when is nested more than ${deepest} deep`);
    }
    const combined = (["all", "any", "not"] as const).filter((rule) => rule in condition);
    if (combined.length > 1 || (combined.length === 1 && "vector" in condition)) {
        throw new SteerError("INVALID_ARGUMENT", "when must be one comparison, or one of { all }, { any } and { not }");
    }
    const [rule] = combined;
    if (rule === undefined) {
        return compileComparison(condition as Comparison, directionsOf);
    }
    const given: unknown = (condition as Record<string, unknown>)[rule];
    const parts = rule === "not" ? [given] : given;
    if (!Array.isArray(parts) || parts.length === 0) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `${rule} must be a list of at least one condition, not ${describe(given)}`,
        );
    }
    return { rule: rules[rule], parts: parts.map((part) => compileCondition(part, directionsOf, depth + 1)) };
}

function compileComparison(
    comparison: Comparison,
    directionsOf: (vector: SteeringVector) => NativeDirections,
): NativeCondition {
    const { vector, layer, threshold, site = "residual" } = comparison;
    const { compare = "above", measure = "cosine", decide = "token" } = comparison;
    if (!(vector instanceof SteeringVector)) {
        throw new SteerError("INVALID_ARGUMENT", "when: vector must be a SteeringVector");
    }
    checkLayer(layer, "when: layer");
    checkFinite(threshold, "when: threshold");
    checkString(site, "when: site");
    checkOneOf(compare, comparisons, "when: compare");
    checkOneOf(measure, measures, "when: measure");
    checkOneOf(decide, latches, "when: decide");
    return {
        rule: rules.compare,
        site,
        layer,
        directions: directionsOf(vector.select(layer)),
        measure: measures.indexOf(measure),
        latch: latches.indexOf(decide),
        above: compare === "above",
        threshold,
    };
}
