import { checkLayer, describe } from "./check.js";
import { selectLayers } from "./layers.js";
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

/** Rows of activations of one site, for some layers, with labels. */
export class Activations {
    /** The site, such as `"residual"`. */
    readonly site: string;
    /** Captured layers, ascending. */
    readonly layers: readonly number[];
    /** Floats in a row. */
    readonly width: number;
    /** Rows there is room for, per layer. */
    readonly capacity: number;
    /** [layers.length][capacity][width], row-major; per layer only the first {@link rowCount} rows hold something. */
    readonly data: Float32Array;
    /** Per layer the labels of its rows. @internal */
    protected rowLabels: RowLabels[];

    /** @internal */
    constructor(
        site: string,
        layers: readonly number[],
        width: number,
        capacity: number,
        data: Float32Array,
        labels: RowLabels[],
    ) {
        this.site = site;
        this.layers = layers;
        this.width = width;
        this.capacity = capacity;
        this.data = data;
        this.rowLabels = labels;
    }

    #slot(layer: number): number {
        checkLayer(layer, "layer");
        return this.layers.indexOf(selectLayers(layer, this.layers)[0] as number);
    }

    /**
     * Rows held for a layer. Layers have the same rows, but the model's last block computes output rows only: those
     * whose logits were asked for, and those that `rows: "last"` captures.
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

    /** The rows of a layer, [rowCount][width]: a view. @throws SteerError LAYER_OUT_OF_RANGE */
    layer(layer: number): Float32Array {
        const begin = this.#slot(layer) * this.capacity * this.width;
        return this.data.subarray(begin, begin + this.rowCount(layer) * this.width);
    }

    /** One row of a layer, [width]: a view. @throws SteerError LAYER_OUT_OF_RANGE, INVALID_ARGUMENT */
    row(layer: number, row: number): Float32Array {
        const count = this.rowCount(layer);
        if (!Number.isInteger(row) || row < 0 || row >= count) {
            throw new SteerError("INVALID_ARGUMENT", `there is no row ${describe(row)}: layer ${layer} holds ${count}`);
        }
        return this.layer(layer).subarray(row * this.width, (row + 1) * this.width);
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
                `layers hold different numbers of rows (${[...counts].join(" and ")}): capture rows "last", or not the ` +
                    "last layer",
            );
        }
        const copy = counts.has(this.capacity) ? this : this.copy();
        return copy.data.subarray(0, this.layers.length * copy.capacity * this.width);
    }

    /** A copy that later evaluations do not change, of the rows held now. */
    copy(): Activations {
        const capacity = Math.max(...this.layers.map((layer) => this.rowCount(layer)));
        const data = new Float32Array(this.layers.length * capacity * this.width);
        this.layers.forEach((layer, slot) => {
            data.set(this.layer(layer), slot * capacity * this.width);
        });
        return new Activations(this.site, this.layers, this.width, capacity, data, [...this.rowLabels]);
    }
}
