import { checkLayer, describe } from "./check.js";
import { type LayerSelection, selectLayers } from "./layers.js";
import { SteerError } from "./steer-error.js";

/**
 * A direction in the residual stream for each of some layers. Immutable: do not change `data`, the native side keeps a
 * copy of it.
 */
export class SteeringVector {
    readonly #selections = new Map<string, SteeringVector>();

    /** Layers that have a direction, ascending, counted from 0. */
    readonly layers: readonly number[];
    /** Width of a direction. */
    readonly hiddenSize: number;
    /** [layers.length][hiddenSize], row-major. */
    readonly data: Float32Array;

    /**
     * @param layers ascending, counted from 0
     * @param data [layers.length][hiddenSize]
     * @throws SteerError WIDTH_MISMATCH, NOT_FINITE, INVALID_ARGUMENT
     */
    constructor(layers: readonly number[], data: Float32Array) {
        if (!Array.isArray(layers) || layers.length === 0) {
            throw new SteerError("INVALID_ARGUMENT", `layers must be a list of layer numbers, not ${describe(layers)}`);
        }
        for (const [i, layer] of layers.entries()) {
            checkLayer(layer, "a layer");
            if (layer <= (layers[i - 1] ?? -1)) {
                throw new SteerError("INVALID_ARGUMENT", `layers must be ascending, not ${layers.join(", ")}`);
            }
        }
        if (!(data instanceof Float32Array)) {
            throw new SteerError("INVALID_ARGUMENT", "data must be a Float32Array");
        }
        if (data.length === 0 || data.length % layers.length !== 0) {
            throw new SteerError(
                "WIDTH_MISMATCH",
                `data holds ${data.length} floats, which cannot be shared evenly by ${layers.length} layers`,
            );
        }
        const bad = data.findIndex((value) => !Number.isFinite(value));
        if (bad >= 0) {
            throw new SteerError("NOT_FINITE", `data holds ${data[bad]} at index ${bad}`);
        }
        this.layers = Object.freeze([...layers]);
        this.hiddenSize = data.length / layers.length;
        this.data = data;
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
            vector = new SteeringVector(selected, data);
            this.#selections.set(key, vector);
        }
        return vector;
    }
}
