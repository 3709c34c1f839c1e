import { checkLayer, describe } from "./check.js";
import { selectLayers } from "./layers.js";
import { native } from "./native.js";
import { SteerError } from "./steer-error.js";

/** What captured rows are the activations of, element by element. */
export interface RowLabels {
    /** Number of the sequence ({@link Sequence.id}). */
    sequence: Int32Array;
    /** Position of the token in its sequence. */
    position: Int32Array;
    /** The token's id. */
    token: Int32Array;
}

/**
 * How rows are stored: float32 as computed, or half precision in half the memory, which keeps 11 bits (a relative error
 * of 2^-11 at most, about 0.0005) of numbers up to 65504 and makes larger ones infinite.
 */
export type RowType = "f32" | "f16";

/** Rows of activations of one site, for some layers, with labels. */
export class Activations {
    /** The site, such as `"residual"`. */
    readonly site: string;
    /** Captured layers, ascending. */
    readonly layers: readonly number[];
    /** Elements in a row. */
    readonly width: number;
    /** Rows there is room for, per layer. */
    readonly capacity: number;
    /**
     * [layers.length][capacity][width], row-major; per layer only the first {@link rowCount} rows hold something. Of type
     * `"f16"` the bits of half-precision numbers.
     */
    readonly data: Float32Array | Uint16Array;
    /** Per layer the labels of its rows. @internal */
    protected rowLabels: RowLabels[];

    /** @internal */
    constructor(
        site: string,
        layers: readonly number[],
        width: number,
        capacity: number,
        data: Float32Array | Uint16Array,
        labels: RowLabels[],
    ) {
        this.site = site;
        this.layers = layers;
        this.width = width;
        this.capacity = capacity;
        this.data = data;
        this.rowLabels = labels;
    }

    get type(): RowType {
        return this.data instanceof Float32Array ? "f32" : "f16";
    }

    #slot(layer: number): number {
        checkLayer(layer, "layer");
        return this.layers.indexOf(selectLayers(layer, this.layers)[0] as number);
    }

    /**
     * Rows held for a layer. Layers have the same rows, but the model's last block computes output rows only: those
     * whose logits were asked for, and those that captures choose (see {@link CaptureOptions.rows}).
     *
     * @throws SteerError LAYER_OUT_OF_RANGE
     */
    rowCount(layer: number): number {
        return this.labels(layer).token.length;
    }

    /** Labels of a layer's rows. @throws SteerError LAYER_OUT_OF_RANGE */
    labels(layer: number): RowLabels {
        return this.rowLabels[this.#slot(layer)] as RowLabels;
    }

    /** The stored rows of a layer, [rowCount][width]: a view. @throws SteerError LAYER_OUT_OF_RANGE */
    raw(layer: number): Float32Array | Uint16Array {
        const begin = this.#slot(layer) * this.capacity * this.width;
        return this.data.subarray(begin, begin + this.rowCount(layer) * this.width);
    }

    /** The rows of a layer, [rowCount][width]: a view, of `"f16"` a copy. @throws SteerError LAYER_OUT_OF_RANGE */
    layer(layer: number): Float32Array {
        return asFloats(this.raw(layer));
    }

    /** One row of a layer, [width]: a view, of `"f16"` a copy. @throws SteerError LAYER_OUT_OF_RANGE, INVALID_ARGUMENT */
    row(layer: number, row: number): Float32Array {
        const count = this.rowCount(layer);
        if (!Number.isInteger(row) || row < 0 || row >= count) {
            throw new SteerError("INVALID_ARGUMENT", `there is no row ${describe(row)}: layer ${layer} holds ${count}`);
        }
        return asFloats(this.raw(layer).subarray(row * this.width, (row + 1) * this.width));
    }

    /**
     * The rows of all layers without room between them, [layers][rows][width], as `fitDirection` takes them: a view where
     * the capacity is used up, else a copy.
     *
     * @throws SteerError INVALID_ARGUMENT where layers hold different numbers of rows
     */
    packed(): Float32Array {
        const counts = new Set(this.layers.map((layer) => this.rowCount(layer)));
        if (counts.size !== 1) {
            throw new SteerError(
                "INVALID_ARGUMENT",
                `layers hold different numbers of rows (${[...counts].join(" and ")}): capture rows "last-prompt", or ` +
                    "not the last layer",
            );
        }
        const source = counts.has(this.capacity) && this.data instanceof Float32Array ? this : this.copy();
        return (source.data as Float32Array).subarray(0, this.layers.length * source.capacity * this.width);
    }

    /** A copy in float32 that later evaluations do not change, of the rows held now. */
    copy(): Activations {
        const capacity = Math.max(...this.layers.map((layer) => this.rowCount(layer)));
        const data = new Float32Array(this.layers.length * capacity * this.width);
        this.layers.forEach((layer, slot) => {
            writeFloats(this.raw(layer), data.subarray(slot * capacity * this.width));
        });
        return new Activations(this.site, this.layers, this.width, capacity, data, [...this.rowLabels]);
    }
}

function asFloats(rows: Float32Array | Uint16Array): Float32Array {
    if (rows instanceof Float32Array) {
        return rows;
    }
    const floats = new Float32Array(rows.length);
    native.halvesToFloats(rows, floats);
    return floats;
}

function writeFloats(rows: Float32Array | Uint16Array, into: Float32Array): void {
    if (rows instanceof Float32Array) {
        into.set(rows);
    } else {
        native.halvesToFloats(rows, into.subarray(0, rows.length));
    }
}
