import type { Activations, RowType } from "llama-steer";
import { fromHalf, toHalf } from "./half.js";
import { activationsOf } from "./numbered-activations.js";

export interface RowShape {
    layers: readonly number[];
    width: number;
    /** Rows, or rows of each layer. */
    rows: number | readonly number[];
    type?: RowType;
    site?: string;
    /** Rows there is room for beyond what is held. */
    spare?: number;
    shared?: boolean;
}

/** Activations whose elements `value` gives; what lies beyond the rows held is NaN. */
export function conditionRows(shape: RowShape, value: (slot: number, row: number, i: number) => number): Activations {
    const { layers, width, rows, type = "f32", site = "residual", spare = 2, shared = false } = shape;
    const counts = layers.map((_, slot) => (typeof rows === "number" ? rows : (rows[slot] as number)));
    const capacity = Math.max(...counts) + spare;
    const length = layers.length * capacity * width;
    const bytes = length * (type === "f32" ? 4 : 2);
    const memory = shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
    const data = type === "f32" ? new Float32Array(memory) : new Uint16Array(memory);
    data.fill(type === "f32" ? Number.NaN : toHalf(Number.NaN));
    counts.forEach((count, slot) => {
        for (let row = 0; row < count; row++) {
            for (let i = 0; i < width; i++) {
                const number = value(slot, row, i);
                data[(slot * capacity + row) * width + i] = type === "f32" ? number : toHalf(number);
            }
        }
    });
    const labels = counts.map((count) => ({
        sequence: new Int32Array(count),
        position: Int32Array.from({ length: count }, (_, row) => row),
        token: new Int32Array(count),
    }));
    return activationsOf(site, layers, width, capacity, data, labels);
}

/** The rows of a layer as float64 numbers, exactly. */
export function exactRows(activations: Activations, layer: number): number[][] {
    const raw = activations.raw(layer);
    return Array.from({ length: activations.rowCount(layer) }, (_, row) =>
        Array.from(raw.subarray(row * activations.width, (row + 1) * activations.width), (each) =>
            raw instanceof Float32Array ? each : fromHalf(each),
        ),
    );
}
