import { type FitDirectionOptions, fitDirection, type LayerFit, type SteeringVector } from "../index.js";
import { contentKey } from "./content-key.js";
import type { Prompt } from "./prompt.js";
import { dot, type PromptRows } from "./prompt-rows.js";
import { mean, type ScoreSeparation, separationOf } from "./separation.js";

/** How a direction is fitted: see {@link FitDirectionOptions}. */
export interface FitSpec {
    method: NonNullable<FitDirectionOptions["method"]>;
    /** Default 1, relative to tr(Σ)/d. */
    lambda?: number | "oas" | "ledoit-wolf" | "loo" | undefined;
    /** Default: that of the method. Without preserve prompts there is none. */
    preserveMode?: FitDirectionOptions["preserveMode"] | undefined;
}

/** Prompts to fit on, with the refusal score of each of `scored`. */
export interface FitData {
    rows: PromptRows;
    scored: readonly Prompt[];
    scores: ReadonlyMap<string, number>;
    /** Whose refusal must stay; they have no scores here. */
    preserve: readonly Prompt[];
    /** Beyond it a score is a refusal or, negative, compliance. */
    threshold: number;
}

/** A layer's direction with what is needed to steer along it. */
export interface LayerDirection {
    layer: number;
    fit: LayerFit;
    /** Mean projections v̂ᵀh of the refused and of the answered prompts, weighted by |score|. */
    refused: number;
    complied: number;
    /** On prompts that it was not fitted on. */
    heldOut: ScoreSeparation;
    /** Mean norm of the rows. */
    norm: number;
}

/** Directions of one specification. */
export interface RefusalDirections {
    spec: FitSpec;
    vector: SteeringVector;
    layers: readonly LayerDirection[];
    /** Of the numbers of the vector. */
    key: string;
}

/**
 * Fits directions from compliance to refusal at all layers.
 *
 * @param heldOut prompts with scores that are not fitted on
 * @throws SteerError as {@link fitDirection}
 */
export async function fitDirections(
    data: FitData,
    spec: FitSpec,
    heldOut: readonly Prompt[],
    signal?: AbortSignal,
): Promise<RefusalDirections> {
    const { rows, scored, scores, preserve, threshold } = data;
    const { method, lambda, preserveMode } = spec;
    const hasLambda = method !== "md" && method !== "pca";
    const fit = await fitDirection({
        activations: rows.of(scored),
        layers: rows.layers,
        scores: Float32Array.from(scored, (prompt) => scoreOf(scores, prompt)),
        ...(preserve.length === 0 || preserveMode === "none" ? {} : { preserve: rows.of(preserve) }),
        ...(preserveMode === undefined || preserve.length === 0 ? {} : { preserveMode }),
        method,
        ...(hasLambda && lambda !== undefined ? { lambda } : {}),
        threshold,
        ...(signal === undefined ? {} : { signal }),
    });
    const layers = fit.layers.map((each): LayerDirection => {
        const { layer } = each;
        const direction = fit.vector.layer(layer);
        const projections = rows.projections(layer, direction, scored);
        const outside = rows.projections(layer, direction, heldOut);
        return {
            layer,
            fit: each,
            refused: classMean(projections, data, (score) => score > threshold),
            complied: classMean(projections, data, (score) => score < -threshold),
            heldOut: separationOf(
                outside,
                heldOut.map((prompt) => scoreOf(scores, prompt)),
                threshold,
            ),
            norm: mean(scored.map((prompt) => lengthOf(rows.row(layer, prompt)))),
        };
    });
    return { spec, vector: fit.vector, layers, key: contentKey(fit.vector.data) };
}

const lengthOf = (row: Float32Array): number => Math.sqrt(dot(row, row));

/** @internal */
export function directionAt(directions: RefusalDirections, layer: number): LayerDirection {
    return directions.layers.find((each) => each.layer === layer) as LayerDirection;
}

function scoreOf(scores: ReadonlyMap<string, number>, { id }: Prompt): number {
    return scores.get(id) ?? Number.NaN;
}

function classMean(
    projections: Float64Array,
    { scored, scores }: FitData,
    belongs: (score: number) => boolean,
): number {
    let [sum, weights] = [0, 0];
    scored.forEach((prompt, i) => {
        const score = scoreOf(scores, prompt);
        if (belongs(score)) {
            sum += Math.abs(score) * (projections[i] as number);
            weights += Math.abs(score);
        }
    });
    return sum / weights;
}
