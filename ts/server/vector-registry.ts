import { SteerError, SteeringVector } from "../index.js";
import { ApiError } from "./api-error.js";

/** What `GET /v1/steering/vectors` tells of a vector. */
export interface VectorDescription {
    name: string;
    layers: readonly number[];
    hidden_size: number;
    operation: string;
    site: string;
}

const nameForm = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** The vectors that requests may name. No request reaches a file: names are all there is. */
export class VectorRegistry {
    readonly #vectors = new Map<string, SteeringVector>();
    /** Tells vectors apart that had one name after the other. */
    readonly #numbers = new WeakMap<SteeringVector, number>();
    #count = 0;

    /** @throws SteerError INVALID_ARGUMENT */
    constructor(vectors: Readonly<Record<string, SteeringVector>> = {}) {
        for (const [name, vector] of Object.entries(vectors)) {
            this.set(name, vector);
        }
    }

    /** Registers a vector, in place of another of that name. @throws SteerError INVALID_ARGUMENT */
    set(name: string, vector: SteeringVector): void {
        if (!nameForm.test(name)) {
            throw new SteerError(
                "INVALID_ARGUMENT",
                "a vector's name must be 1 to 64 letters, digits, dots, dashes or underscores, and begin with one of the first two",
            );
        }
        if (!(vector instanceof SteeringVector)) {
            throw new SteerError("INVALID_ARGUMENT", `${name} must be a SteeringVector`);
        }
        this.#vectors.set(name, vector);
        if (!this.#numbers.has(vector)) {
            this.#numbers.set(vector, this.#count++);
        }
    }

    /** Requests that run keep the vector. Returns false if there is none of that name. */
    delete(name: string): boolean {
        return this.#vectors.delete(name);
    }

    get size(): number {
        return this.#vectors.size;
    }

    has(name: string): boolean {
        return this.#vectors.has(name);
    }

    /** @throws ApiError 400 */
    find(name: string): SteeringVector {
        const vector = this.#vectors.get(name);
        if (vector === undefined) {
            throw new ApiError(
                400,
                "unknown_vector",
                `there is no vector ${JSON.stringify(name.slice(0, 100))}: GET /v1/steering/vectors lists them`,
                "steering",
            );
        }
        return vector;
    }

    /** A number of its own for each vector that was ever registered. */
    numberOf(vector: SteeringVector): number {
        return this.#numbers.get(vector) ?? -1;
    }

    list(): VectorDescription[] {
        return Array.from(this.#vectors, ([name, vector]) => ({
            name,
            layers: vector.layers,
            hidden_size: vector.hiddenSize,
            operation: vector.metadata.operation,
            site: vector.metadata.site,
        }));
    }
}
