import { SteerError } from "./steer-error.js";
import type { Steering } from "./steering.js";
import type { SteeringVector } from "./steering-vector.js";

/** Directions this parallel are one direction. */
const parallel = 1 - 1e-6;

/**
 * Refuses two interventions that hold one projection at two values: the later one would silently undo the other. Those
 * with conditions may exclude each other, and those on different tokens do not meet: they are let through.
 *
 * @throws SteerError STEERING_CONFLICT
 */
export function checkConflicts(added: Steering, others: readonly Steering[]): void {
    for (const other of others) {
        if (held(added) === undefined || held(other) === undefined || !canMeet(added, other)) {
            continue;
        }
        for (const a of added.vectors) {
            for (const b of other.vectors) {
                checkPair(added, a, other, b);
            }
        }
    }
}

function checkPair(added: Steering, a: SteeringVector, other: Steering, b: SteeringVector): void {
    for (const layer of a.layers) {
        if (!b.layers.includes(layer)) {
            continue;
        }
        const cosine = cosineOf(a.layer(layer), b.layer(layer));
        const agrees = cosine > 0 ? held(added) === held(other) : held(added) === -(held(other) as number);
        if (Math.abs(cosine) > parallel && !(agrees && added.unit === other.unit)) {
            throw new SteerError(
                "STEERING_CONFLICT",
                `layer ${layer} of this sequence is set to ${held(other)} along this direction already, and cannot be ` +
                    `set to ${held(added)} as well: remove that intervention, or update its value`,
            );
        }
    }
}

/** The one value at which the projections are held; undefined for anything else. */
function held({ operation, bounds, strength }: Steering): number | undefined {
    const fixed = operation === "set" || operation === "track";
    return fixed && strength === 1 && bounds.low !== undefined && bounds.low === bounds.high ? bounds.low : undefined;
}

function canMeet(a: Steering, b: Steering): boolean {
    if (a.site !== b.site || a.when !== undefined || b.when !== undefined) {
        return false;
    }
    return a.tokens === "all" || b.tokens === "all" || JSON.stringify(a.tokens) === JSON.stringify(b.tokens);
}

function cosineOf(a: Float32Array, b: Float32Array): number {
    let [product, aa, bb] = [0, 0, 0];
    for (let i = 0; i < a.length; i++) {
        const [x, y] = [a[i] as number, b[i] as number];
        product += x * y;
        aa += x * x;
        bb += y * y;
    }
    return product / Math.sqrt(aa * bb);
}
