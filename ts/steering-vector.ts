import { checkFinite, checkLayer, checkObject, describe } from "./check.js";
import { type LayerSelection, selectLayers } from "./layers.js";
import { SteerError } from "./steer-error.js";
import { normalized, orthogonalized, scaled, sum } from "./vector-algebra.js";
import {
    type CompleteVectorMetadata,
    checkSameModel,
    completeMetadata,
    sharedMetadata,
    type VectorMetadata,
} from "./vector-metadata.js";

export interface SteeringVectorOptions {
    /** [layers.length]: mean Euclidean norm of the model's rows at the vector's site, layer by layer. */
    norms?: Float32Array | undefined;
    /** What is known of the vector beside its numbers. */
    metadata?: VectorMetadata | undefined;
}

/**
 * A direction in the residual stream for each of some layers. Immutable: do not change `data`, the native side keeps a
 * copy of it. What computes with vectors does so in float64, rounds once, and gives a new one.
 */
export class SteeringVector {
    readonly #selections = new Map<string, SteeringVector>();

    /** Layers that have a direction, ascending, counted from 0. */
    readonly layers: readonly number[];
    /** Width of a direction. */
    readonly hiddenSize: number;
    /** [layers.length][hiddenSize], row-major. */
    readonly data: Float32Array;
    /** [layers.length]: mean Euclidean norm of the model's rows at each layer, in its own units; undefined if not known. */
    readonly norms: Float32Array | undefined;
    /** What is known of the vector beside its numbers. Frozen; `operation` and `site` are always there. */
    readonly metadata: CompleteVectorMetadata;

    /**
     * @param layers ascending, counted from 0
     * @param data [layers.length][hiddenSize]
     * @throws SteerError WIDTH_MISMATCH (also norms of another number than layers, or metadata of a model of another
     *   width), LAYER_OUT_OF_RANGE (metadata of a model with fewer layers), NOT_FINITE, INVALID_ARGUMENT
     */
    constructor(layers: readonly number[], data: Float32Array, options: SteeringVectorOptions = {}) {
        checkLayers(layers);
        checkData(data, layers.length);
        checkObject(options, "options");
        const { norms, metadata = {} } = options;
        this.layers = Object.freeze([...layers]);
        this.hiddenSize = data.length / layers.length;
        this.data = data;
        this.norms = norms === undefined ? undefined : checkedNorms(norms, layers);
        this.metadata = completeMetadata(metadata);
        this.#checkModel();
    }

    /** The direction of one layer: a view of `data`. @throws SteerError LAYER_OUT_OF_RANGE */
    layer(layer: number): Float32Array {
        checkLayer(layer, "layer");
        const [selected] = selectLayers(layer, this.layers);
        const row = this.layers.indexOf(selected as number);
        return this.data.subarray(row * this.hiddenSize, (row + 1) * this.hiddenSize);
    }

    /** The same vector at some of its layers only. @throws SteerError LAYER_OUT_OF_RANGE, INVALID_ARGUMENT */
    select(layers: LayerSelection): SteeringVector {
        const selected = selectLayers(layers, this.layers);
        if (selected.length === this.layers.length) {
            return this;
        }
        const key = selected.join();
        let vector = this.#selections.get(key);
        if (vector === undefined) {
            const data = new Float32Array(selected.length * this.hiddenSize);
            selected.forEach((layer, row) => {
                data.set(this.layer(layer), row * this.hiddenSize);
            });
            const norms = normsOf(selected, [this]);
            vector = new SteeringVector(selected, data, { norms, metadata: this.metadata });
            this.#selections.set(key, vector);
        }
        return vector;
    }

    /**
     * The sum, at the layers of both; where one has no direction, the other's. Of the metadata it keeps what both agree on,
     * and this vector's norms, filled up with the other's.
     *
     * @throws SteerError WIDTH_MISMATCH, VECTOR_MISMATCH (of different models), NOT_FINITE (too large for float32),
     *   INVALID_ARGUMENT (of different sites or operations)
     */
    add(other: SteeringVector): SteeringVector {
        return this.#plus(other, 1);
    }

    /** The difference, as {@link add}: where this vector has no direction, the other's negated. */
    subtract(other: SteeringVector): SteeringVector {
        return this.#plus(other, -1);
    }

    #plus(other: SteeringVector, factor: number): SteeringVector {
        this.#checkOther(other);
        const metadata = sharedMetadata(this.metadata, other.metadata);
        const { layers, data } = sum(this, other, factor);
        return new SteeringVector(layers, data, { norms: normsOf(layers, [this, other]), metadata });
    }

    /** Every direction times `factor`. @throws SteerError NOT_FINITE, INVALID_ARGUMENT */
    scale(factor: number): SteeringVector {
        checkFinite(factor, "factor");
        return this.#with(scaled(this, factor));
    }

    /** Every direction the other way round. */
    negate(): SteeringVector {
        return this.#with(scaled(this, -1));
    }

    /** Every direction with length 1. @throws SteerError ZERO_VECTOR (a direction of zeros) */
    normalize(): SteeringVector {
        return this.#with(normalized(this));
    }

    /**
     * Without the components along the other's directions: layer by layer orthogonal to them or, of several, to all they
     * span. A layer that the others lack stays as it is; what lies in their span, to the rounding of float32, becomes zero.
     *
     * @throws SteerError WIDTH_MISMATCH, VECTOR_MISMATCH (of different models), INVALID_ARGUMENT
     */
    orthogonalTo(others: SteeringVector | readonly SteeringVector[]): SteeringVector {
        const list: readonly SteeringVector[] = Array.isArray(others) ? others : [others];
        for (const other of list) {
            this.#checkOther(other);
            checkSameModel(this.metadata, other.metadata);
        }
        return this.#with(orthogonalized(this, list));
    }

    /** The same vector with other norms, or with none. @throws SteerError WIDTH_MISMATCH, NOT_FINITE, INVALID_ARGUMENT */
    withNorms(norms: Float32Array | undefined): SteeringVector {
        return new SteeringVector(this.layers, this.data, { norms, metadata: this.metadata });
    }

    /**
     * The same vector with these metadata over its own; a key that holds undefined is taken away.
     *
     * @throws SteerError INVALID_ARGUMENT, NOT_FINITE, WIDTH_MISMATCH, LAYER_OUT_OF_RANGE
     */
    withMetadata(metadata: VectorMetadata): SteeringVector {
        checkObject(metadata, "metadata");
        const merged = { ...this.metadata, ...metadata };
        return new SteeringVector(this.layers, this.data, { norms: this.norms, metadata: merged });
    }

    #with(data: Float32Array): SteeringVector {
        return new SteeringVector(this.layers, data, { norms: this.norms, metadata: this.metadata });
    }

    #checkOther(other: unknown): asserts other is SteeringVector {
        if (!(other instanceof SteeringVector)) {
            throw new SteerError("INVALID_ARGUMENT", `other must be a SteeringVector, not ${describe(other)}`);
        }
        if (other.hiddenSize !== this.hiddenSize) {
            throw new SteerError(
                "WIDTH_MISMATCH",
                `these vectors are ${this.hiddenSize} and ${other.hiddenSize} wide: they are of different models`,
            );
        }
    }

    /** The model of the metadata must be one that could have this vector. */
    #checkModel(): void {
        const { model, site } = this.metadata;
        if (model !== undefined && site === "residual" && model.hiddenSize !== this.hiddenSize) {
            throw new SteerError(
                "WIDTH_MISMATCH",
                `the directions are ${this.hiddenSize} wide, the model of the metadata ${model.hiddenSize}`,
            );
        }
        const last = this.layers.at(-1) as number;
        if (model !== undefined && last >= model.layers) {
            throw new SteerError(
                "LAYER_OUT_OF_RANGE",
                `there is a direction of layer ${last}; the model of the metadata has ${model.layers}, counted from 0`,
            );
        }
    }
}

function checkLayers(layers: unknown): asserts layers is readonly number[] {
    if (!Array.isArray(layers) || layers.length === 0) {
        throw new SteerError("INVALID_ARGUMENT", `layers must be a list of layer numbers, not ${describe(layers)}`);
    }
    for (const [i, layer] of layers.entries()) {
        checkLayer(layer, "a layer");
        if (layer <= (layers[i - 1] ?? -1)) {
            throw new SteerError("INVALID_ARGUMENT", `layers must be ascending, not ${layers.join(", ")}`);
        }
    }
}

function checkData(data: unknown, layerCount: number): asserts data is Float32Array {
    if (!(data instanceof Float32Array)) {
        throw new SteerError("INVALID_ARGUMENT", "data must be a Float32Array");
    }
    if (data.length === 0 || data.length % layerCount !== 0) {
        throw new SteerError(
            "WIDTH_MISMATCH",
            `data holds ${data.length} floats, which cannot be shared evenly by ${layerCount} layers`,
        );
    }
    const bad = data.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) {
        throw new SteerError("NOT_FINITE", `data holds ${data[bad]} at index ${bad}`);
    }
}

function checkedNorms(norms: unknown, layers: readonly number[]): Float32Array {
    if (!(norms instanceof Float32Array)) {
        throw new SteerError("INVALID_ARGUMENT", `norms must be a Float32Array, not ${describe(norms)}`);
    }
    if (norms.length !== layers.length) {
        throw new SteerError("WIDTH_MISMATCH", `there are ${norms.length} norms for ${layers.length} layers`);
    }
    const bad = norms.findIndex((norm) => !(norm > 0 && norm < Number.POSITIVE_INFINITY));
    if (bad >= 0) {
        const finite = Number.isFinite(norms[bad]);
        throw new SteerError(
            finite ? "INVALID_ARGUMENT" : "NOT_FINITE",
            `the norm of layer ${layers[bad]} is ${norms[bad]}; norms are above 0`,
        );
    }
    return norms.slice();
}

/** The norms of these layers, each from the first vector that knows it; undefined where one is not known. */
function normsOf(layers: readonly number[], vectors: readonly SteeringVector[]): Float32Array | undefined {
    const known = vectors.filter((vector) => vector.norms !== undefined);
    const norms = layers.map((layer) => {
        const vector = known.find((each) => each.layers.includes(layer));
        return vector?.norms?.[vector.layers.indexOf(layer)];
    });
    return norms.includes(undefined) ? undefined : Float32Array.from(norms as number[]);
}
