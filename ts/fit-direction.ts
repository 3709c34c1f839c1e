import { checkLayer, checkObject, checkOneOf, describe } from "./check.js";
import { emitNotice } from "./emit-notice.js";
import { native } from "./native.js";
import { runTask } from "./run-task.js";
import { SteerError } from "./steer-error.js";
import { SteeringVector } from "./steering-vector.js";

const methods = ["md", "rmd", "wrmd"] as const;
const preserveModes = ["none", "covariance-within", "covariance-pooled", "project-out"] as const;

export interface FitDirectionOptions {
    /** [layers.length][scores.length][hiddenSize]: for each layer one row per prompt, see {@link Activations.packed}. */
    activations: Float32Array;
    /** The layers of `activations`, ascending. */
    layers: readonly number[];
    /** Refusal score of each prompt, in [-1 (complies), 1 (refuses)]. */
    scores: Float32Array;
    /** [layers.length][any number of rows][hiddenSize]: activations of prompts whose refusal must stay. */
    preserve?: Float32Array;
    /**
     * `"md"` the mean difference, `"rmd"` ridge-regularized, `"wrmd"` (default) weighted by the scores as well:
     * v = (Σ_C + λI)⁻¹(μ_R - μ_C) with |score| as weights.
     */
    method?: (typeof methods)[number];
    /** Ridge λ, relative to the mean eigenvalue tr(Σ)/d. Default 1. */
    lambda?: number;
    /**
     * How `preserve` counts. `"covariance-pooled"` (default where `preserve` is given): its spread and its distance from
     * the compliant prompts join the covariance, so that the direction avoids what sets it apart.
     * `"covariance-within"`: its spread only. `"project-out"` (default for `"md"`, which has no covariance): the
     * difference is made orthogonal to its distance.
     */
    preserveMode?: (typeof preserveModes)[number];
    /** Scores above it count as refusals, below its negative as compliance. Default 0.1. */
    threshold?: number;
    /** Called with the fraction of layers done. */
    onProgress?: (fraction: number) => void;
    signal?: AbortSignal;
}

/** How a direction came out at one layer. */
export interface LayerFit {
    layer: number;
    /** Distance of the two means along the direction. */
    gap: number;
    /** λ as used, absolute. */
    lambda: number;
    /** Estimated condition number of Σ + λI; 0 for `"md"`. */
    condition: number;
    /** Area under the ROC curve of the projections: 0.5 no separation, 1 perfect. */
    auc: number;
    /** Distance of the projected means in pooled standard deviations. */
    cohensD: number;
    /** Pearson correlation of projection and score. */
    correlation: number;
    /** Prompts above the threshold, below its negative, and between. */
    refusing: number;
    complying: number;
    neutral: number;
    /** Rows of the preserve set. */
    preserved: number;
}

export interface DirectionFit {
    /**
     * Per layer the direction from compliance to refusal, as long as the gap: strength -1 at one layer moves the mean of
     * the refused prompts onto the mean of the answered ones along it, +1 the other way. Its metadata tell the method.
     */
    vector: SteeringVector;
    layers: LayerFit[];
}

/**
 * Fits a direction per layer from activations and refusal scores, in float64 through BLAS, on a thread of its own.
 *
 * Source: arXiv 2512.16602 (Refusal Steering).
 *
 * @throws SteerError EMPTY_CLASS, NOT_FINITE, WIDTH_MISMATCH, SINGULAR_MATRIX, ABORTED, INVALID_ARGUMENT
 */
export async function fitDirection(options: FitDirectionOptions): Promise<DirectionFit> {
    checkObject(options, "options");
    const { activations, layers, scores, preserve, method = "wrmd", lambda = 1, threshold = 0.1 } = options;
    const { preserveMode = defaultPreserveMode(preserve !== undefined, method) } = options;
    checkOneOf(method, methods, "method");
    checkOneOf(preserveMode, preserveModes, "preserveMode");
    if (!Array.isArray(layers) || layers.length === 0) {
        throw new SteerError("INVALID_ARGUMENT", `layers must be a list of layer numbers, not ${describe(layers)}`);
    }
    for (const layer of layers) {
        checkLayer(layer, "a layer");
    }
    const settings = {
        activations,
        layerCount: layers.length,
        scores,
        preserve,
        method: methods.indexOf(method),
        preserveMode: preserveModes.indexOf(preserveMode),
        lambda,
        threshold,
    };
    const fitting = runTask(() => native.fitDirections(settings, options.onProgress), options.signal);
    const fit = await fitting.catch((error: unknown) => {
        throw withLayerNumber(error, layers);
    });
    emitNotice(fit.notice);
    return {
        vector: new SteeringVector(layers, fit.directions, {
            metadata: { method, samples: scores.length, ...(method === "md" ? {} : { lambda }), preserveMode },
        }),
        layers: fit.layers.map((each, i) => ({ layer: layers[i] as number, ...each })),
    };
}

/** The solver counts the layers it is given; people know them by their numbers in the model. */
function withLayerNumber(error: unknown, layers: readonly number[]): unknown {
    if (!(error instanceof SteerError)) {
        return error;
    }
    const message = error.message.replace(/^layer (\d+)/, (_, slot) => `layer ${layers[Number(slot)]}`);
    return message === error.message ? error : new SteerError(error.code, message, { cause: error.cause });
}

function defaultPreserveMode(given: boolean, method: string): (typeof preserveModes)[number] {
    if (!given) {
        return "none";
    }
    return method === "md" ? "project-out" : "covariance-pooled";
}

/** The linear algebra in use, such as `"openblas 0.3.21"` or `"builtin"`. */
export function ridgeBackend(): string {
    return native.ridgeBackend();
}
