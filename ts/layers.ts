import { describe } from "./check.js";
import { SteerError } from "./steer-error.js";

/** Which blocks of a model: all of them, one, or a list. Blocks are counted from 0. */
export type LayerSelection = "all" | number | readonly number[];

/**
 * The selected layers, ascending.
 *
 * @param available the layers there are to choose from, ascending
 * @throws SteerError LAYER_OUT_OF_RANGE, INVALID_ARGUMENT (nothing selected, a layer twice, wrong type)
 */
export function selectLayers(selection: LayerSelection, available: readonly number[]): number[] {
    if (selection === "all") {
        return [...available];
    }
    const list = typeof selection === "number" ? [selection] : selection;
    if (!Array.isArray(list) || list.length === 0) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `layers must be "all", a number or a list of numbers, not ${describe(selection)}`,
        );
    }
    for (const layer of list) {
        if (!Number.isInteger(layer)) {
            throw new SteerError("INVALID_ARGUMENT", `layers must be whole numbers, not ${describe(layer)}`);
        }
        if (!available.includes(layer)) {
            const range = `${available[0]} to ${available.at(-1)}`;
            throw new SteerError("LAYER_OUT_OF_RANGE", `there is no layer ${layer} here: choose from ${range}`);
        }
    }
    if (new Set(list).size !== list.length) {
        throw new SteerError("INVALID_ARGUMENT", `layers name one layer twice: ${list.join(", ")}`);
    }
    return [...list].sort((a, b) => a - b);
}

/** 0 .. count-1. */
export function layerRange(count: number): number[] {
    return Array.from({ length: count }, (_, layer) => layer);
}
