import { describe } from "./check.js";
import { SteerError } from "./steer-error.js";

/** From and to are both taken; what is left out is the first or the last layer. */
export interface LayerRange {
    from?: number;
    to?: number;
}

/**
 * Which blocks of a model, counted from 0: all of them, one, a list, a range, or by depth, where 0 is the first block and
 * 1 the last, so that one selection serves models of any size: `{ depth: 0.5 }`, `{ depth: [0.25, 0.75] }` or
 * `{ depth: { from: 0.3, to: 0.7 } }`.
 */
export type LayerSelection =
    | "all"
    | number
    | readonly number[]
    | LayerRange
    | { depth: number | readonly number[] | LayerRange };

/** 0.28 of 25 layers is a little more than 7 in binary floating point, and layer 7 at depth 0.28 all the same. */
const rounding = 1e-9;

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
    if (typeof selection === "object" && selection !== null && !Array.isArray(selection)) {
        if (!("depth" in selection)) {
            return layersInRange(selection as LayerRange, available);
        }
        if (Object.keys(selection).length > 1) {
            throw new SteerError(
                "INVALID_ARGUMENT",
                "layers by depth say depth only: { depth: { from: 0.3, to: 0.7 } }",
            );
        }
        return layersAtDepth(selection.depth, available);
    }
    const list = typeof selection === "number" ? [selection] : selection;
    if (!Array.isArray(list) || list.length === 0) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `layers must be "all", a number, a list of numbers, { from, to } or { depth }, not ${describe(selection)}`,
        );
    }
    for (const layer of list) {
        checkAvailable(layer, available);
    }
    if (new Set(list).size !== list.length) {
        throw new SteerError("INVALID_ARGUMENT", `layers name one layer twice: ${list.join(", ")}`);
    }
    return [...list].sort((a, b) => a - b);
}

function layersInRange(range: LayerRange, available: readonly number[]): number[] {
    checkRange(range);
    const { from = available[0] as number, to = available.at(-1) as number } = range;
    checkAvailable(from, available);
    checkAvailable(to, available);
    return notEmpty(
        available.filter((layer) => layer >= from && layer <= to),
        `from ${from} to ${to}`,
    );
}

function layersAtDepth(depth: unknown, available: readonly number[]): number[] {
    const last = available.length - 1;
    if (typeof depth === "object" && depth !== null && !Array.isArray(depth)) {
        checkRange(depth);
        const { from = 0, to = 1 } = depth as LayerRange;
        checkDepth(from);
        checkDepth(to);
        const inside = (_: number, i: number): boolean => i >= from * last - rounding && i <= to * last + rounding;
        return notEmpty(available.filter(inside), `depth ${from} to ${to}`);
    }
    const list: unknown[] = Array.isArray(depth) ? depth : [depth];
    const layers = list.map((each) => {
        checkDepth(each);
        return available[Math.round(each * last)] as number;
    });
    return notEmpty(
        [...new Set(layers)].sort((a, b) => a - b),
        "an empty list of depths",
    );
}

function checkAvailable(layer: unknown, available: readonly number[]): asserts layer is number {
    if (!Number.isInteger(layer)) {
        throw new SteerError("INVALID_ARGUMENT", `layers must be whole numbers, not ${describe(layer)}`);
    }
    if (!available.includes(layer as number)) {
        const range = `${available[0]} to ${available.at(-1)}`;
        throw new SteerError("LAYER_OUT_OF_RANGE", `there is no layer ${layer} here: choose from ${range}`);
    }
}

function checkDepth(depth: unknown): asserts depth is number {
    if (typeof depth !== "number" || !(depth >= 0 && depth <= 1)) {
        throw new SteerError("INVALID_ARGUMENT", `a depth must be a number from 0 to 1, not ${describe(depth)}`);
    }
}

/** A range says where it begins or where it ends, and nothing else. */
function checkRange(range: object): void {
    const keys = Object.keys(range);
    if (keys.length === 0 || keys.some((key) => key !== "from" && key !== "to")) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `layers must be "all", a number, a list of numbers, { from, to } or { depth }, not ${describe(range)}`,
        );
    }
}

function notEmpty(layers: number[], asked: string): number[] {
    if (layers.length === 0) {
        throw new SteerError("INVALID_ARGUMENT", `layers: ${asked} selects no layer`);
    }
    return layers;
}

/** 0 .. count-1. */
export function layerRange(count: number): number[] {
    return Array.from({ length: count }, (_, layer) => layer);
}
