import { Activations } from "./activations.js";
import { checkObject, checkOneOf, describe } from "./check.js";
import { type LayerSelection, selectLayers } from "./layers.js";
import { type NativeRowSource, native } from "./native.js";
import { holdRows } from "./row-readers.js";
import { runTask } from "./run-task.js";
import { SteerError } from "./steer-error.js";
import { SteeringVector } from "./steering-vector.js";

const measures = ["cosine", "projection"] as const;
const comparisons = ["above", "below", "either"] as const;

/** What a row h has to say of a direction v: vᵀh / (|v| |h|), or vᵀh / |v|. */
export type ConditionMeasure = (typeof measures)[number];

export interface FindConditionOptions {
    /** The directions to measure along, such as those that `fitDirection` finds between the two classes. */
    vector: SteeringVector;
    /** Rows for which the condition is to hold. */
    positive: Activations | readonly Activations[];
    /** Rows for which it is not to hold. */
    negative: Activations | readonly Activations[];
    /** Layers to choose from. Default: all of the vector's; the activations must have them. */
    layers?: LayerSelection;
    /**
     * `"cosine"` (default), from -1 to 1, 0 for a row of zeros; or `"projection"`, in the units of the activations.
     */
    measure?: ConditionMeasure;
    /** On which side of the threshold the condition holds. Default `"either"`: whichever tells more. */
    compare?: (typeof comparisons)[number];
    signal?: AbortSignal;
}

/** How well a threshold tells the classes. What equals the threshold lies on neither side of it. */
export interface ConditionFit {
    layer: number;
    threshold: number;
    compare: "above" | "below";
    /** 2·precision·recall / (precision + recall). */
    f1: number;
    /** Of the rows for which the condition holds, the share that is positive; 0 where it holds for none. */
    precision: number;
    /** Of the positive rows, the share for which it holds. */
    recall: number;
    /** Distance of the two measures that the threshold lies midway between, by the distance of the extremes. */
    margin: number;
    /** The mean measures of the two classes. */
    positiveMean: number;
    negativeMean: number;
}

/** The best layer's condition, and what came out at each. */
export interface FoundCondition extends ConditionFit {
    measure: ConditionMeasure;
    layers: ConditionFit[];
}

/**
 * Finds when to steer: the layer and threshold at which a measure along a direction tells two classes of rows best, by F1.
 * Of each layer all thresholds midway between neighbouring measures are tried. Of equal ones that with the largest margin is
 * taken, then that of the earlier layer. Where all rows of a layer measure the same, nothing tells them: F1 is 0.
 *
 * Runs on a thread of its own, in float64. Shared memory, as captures have by default, is read where it is; rows on an
 * ArrayBuffer are copied. It says how well the rows given are told; judge by others, which no choice was made from.
 *
 * Source: the condition of arXiv 2409.05907 (Conditional Activation Steering), searched exactly rather than on a grid.
 *
 * @throws SteerError EMPTY_CLASS, LAYER_OUT_OF_RANGE, WIDTH_MISMATCH, NOT_FINITE, ABORTED, BUFFER_DETACHED,
 *   INVALID_ARGUMENT (also for a vector of zeros, and for activations of different sites)
 */
export async function findCondition(options: FindConditionOptions): Promise<FoundCondition> {
    checkObject(options, "options");
    const { vector, layers = "all", measure = "cosine", compare = "either", signal } = options;
    if (!(vector instanceof SteeringVector)) {
        throw new SteerError("INVALID_ARGUMENT", `vector must be a SteeringVector, not ${describe(vector)}`);
    }
    checkOneOf(measure, measures, "measure");
    checkOneOf(compare, comparisons, "compare");
    const positive = activationsOf(options.positive, "positive");
    const negative = activationsOf(options.negative, "negative");
    checkSites([...positive, ...negative]);
    const selected = vector.select(layers);
    const settings = {
        positive: positive.map((each) => sourceOf(each, selected, "positive")),
        negative: negative.map((each) => sourceOf(each, selected, "negative")),
        layers: Int32Array.from(selected.layers),
        vector: selected.data,
        measure: measures.indexOf(measure),
        side: comparisons.indexOf(compare),
    };
    const searching = runTask(() => native.searchConditions(settings), signal);
    for (const each of [...positive, ...negative]) {
        holdRows(each, searching);
    }
    const found = (await searching).map(
        ({ above, ...fit }, i): ConditionFit => ({
            layer: selected.layers[i] as number,
            compare: above ? "above" : "below",
            ...fit,
        }),
    );
    return { ...found.reduce((best, each) => (isBetter(each, best) ? each : best)), measure, layers: found };
}

function isBetter(fit: ConditionFit, best: ConditionFit): boolean {
    return fit.f1 > best.f1 || (fit.f1 === best.f1 && fit.margin > best.margin);
}

function activationsOf(given: unknown, name: string): Activations[] {
    const list: unknown[] = Array.isArray(given) ? given : [given];
    for (const each of list) {
        if (!(each instanceof Activations)) {
            throw new SteerError(
                "INVALID_ARGUMENT",
                `${name} must be Activations, or a list of them, not ${describe(each)}`,
            );
        }
    }
    return list as Activations[];
}

function checkSites(all: readonly Activations[]): void {
    const sites = new Set(all.map((each) => each.site));
    if (sites.size > 1) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `activations of different sites cannot be told by one threshold: ${[...sites].join(" and ")}`,
        );
    }
}

function sourceOf(activations: Activations, { layers, hiddenSize }: SteeringVector, name: string): NativeRowSource {
    if (activations.width !== hiddenSize) {
        throw new SteerError(
            "WIDTH_MISMATCH",
            `${name} holds rows of width ${activations.width}, the vector is ${hiddenSize} wide`,
        );
    }
    const missing = layers.filter((layer) => !activations.layers.includes(layer));
    if (missing.length > 0) {
        throw new SteerError(
            "LAYER_OUT_OF_RANGE",
            `${name} holds no layer ${missing.join(", ")}, only ${activations.layers.join(", ")}: say which with layers`,
        );
    }
    return rowSource(activations, selectLayers(layers, activations.layers));
}

/** Where the rows of these layers lie. @internal */
export function rowSource(activations: Activations, layers: readonly number[]): NativeRowSource {
    return {
        data: activations.data,
        slots: Int32Array.from(layers, (layer) => activations.layers.indexOf(layer)),
        capacity: activations.capacity,
        rows: Int32Array.from(layers, (layer) => activations.rowCount(layer)),
    };
}
