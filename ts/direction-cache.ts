import type { NativeDirections, NativeModel, NativeVector } from "./native.js";
import { type Operation, operations } from "./steer-options.js";
import type { SteeringVector } from "./steering-vector.js";

/** Vectors of one intervention, and what is to be done with them. */
export interface DirectionRequest {
    operation: Operation;
    vectors: readonly SteeringVector[];
    up?: readonly SteeringVector[];
    bias?: readonly SteeringVector[];
    normUnits?: boolean;
}

/**
 * Vectors in native memory, made ready once for all sequences that steer with them. An entry lives as long as the first
 * of its vectors.
 */
export class DirectionCache {
    readonly #native: NativeModel;
    readonly #made = new WeakMap<SteeringVector, Map<string, NativeDirections>>();
    readonly #numbers = new WeakMap<SteeringVector, number>();
    #next = 0;

    constructor(native: NativeModel) {
        this.#native = native;
    }

    /** @throws SteerError as {@link Sequence.steer} */
    get({ operation, vectors, up = [], bias = [], normUnits = false }: DirectionRequest): NativeDirections {
        const first = vectors[0] as SteeringVector;
        let made = this.#made.get(first);
        if (made === undefined) {
            made = new Map();
            this.#made.set(first, made);
        }
        const ids = [vectors, up, bias].map((list) => list.map((each) => this.#numberOf(each)).join(","));
        const key = `${operation} ${normUnits} ${ids.join(" ")}`;
        let directions = made.get(key);
        if (directions === undefined) {
            directions = this.#native.createDirections({
                operation: operations.indexOf(operation),
                normUnits,
                vectors: vectors.map(nativeVector),
                up: up.map(nativeVector),
                bias: bias.map(nativeVector),
            });
            made.set(key, directions);
        }
        return directions;
    }

    #numberOf(vector: SteeringVector): number {
        let number = this.#numbers.get(vector);
        if (number === undefined) {
            number = this.#next++;
            this.#numbers.set(vector, number);
        }
        return number;
    }
}

function nativeVector({ data, layers, norms }: SteeringVector): NativeVector {
    return { data, layers: Int32Array.from(layers), ...(norms === undefined ? {} : { norms }) };
}
