import { emitNotice } from "./emit-notice.js";
import {
    type FitSettings,
    fitSettings,
    type lambdaRules,
    type lambdaUnits,
    methods,
    preserveModes,
} from "./fit-settings.js";
import type { LayerFit } from "./layer-fit.js";
import { type NativeFit, native } from "./native.js";
import { runTask } from "./run-task.js";
import { SteerError } from "./steer-error.js";
import { SteeringVector } from "./steering-vector.js";
import type { VectorMetadata } from "./vector-metadata.js";

/** Diagnostics that fit again, and take as many times as long. */
export interface FitDiagnosticsOptions {
    /** Folds of a cross-validation, 2 or more, each with its share of every class: {@link LayerFit.heldOut}. */
    crossValidation?: number;
    /** Bootstrap samples, 2 or more, drawn class by class: {@link LayerFit.stability}. */
    bootstrap?: number;
    /** Draws folds and samples; the same seed gives the same everywhere. Default 1. */
    seed?: number;
}

interface CommonFitOptions {
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
     * v = (Σ_C + λI)⁻¹(μ_R - μ_C) with |score| as weights. For comparison, weighted alike: `"lda"` the same with the
     * covariance within both classes, `"pca"` the first principal component of the differences of all pairs, `"logistic"`
     * ridge logistic regression. See docs/fit-direction.md.
     */
    method?: (typeof methods)[number];
    /** `"relative"` (default): λ in multiples of the mean eigenvalue tr(Σ)/d; `"absolute"`: as it is. */
    lambdaUnit?: (typeof lambdaUnits)[number];
    /**
     * How `preserve` counts. `"covariance-pooled"` (default where `preserve` is given): its spread and its distance from
     * the compliant prompts join the covariance, so that the direction avoids what sets it apart.
     * `"covariance-within"`: its spread only. `"project-out"` (default for `"md"`, `"pca"` and `"logistic"`, which have no
     * covariance): the difference is made orthogonal to its distance. `"both"`: pooled and projected out.
     */
    preserveMode?: (typeof preserveModes)[number];
    /** Scores above it count as refusals, below its negative as compliance. Default 0.1. */
    threshold?: number;
    /** Costly diagnostics. Default none; the others always come along. */
    diagnostics?: FitDiagnosticsOptions;
    /** The most bytes that the fit may take beside its arguments. Known, and refused, before it starts. Default no limit. */
    memoryBudget?: number;
    /** Called with the fraction of all fits done, those of the diagnostics too. */
    onProgress?: (fraction: number) => void;
    signal?: AbortSignal;
}

export interface FitDirectionOptions extends CommonFitOptions {
    /**
     * Ridge λ, default 1; or a rule that chooses it at each layer, for `"rmd"`, `"wrmd"` and `"lda"`: `"oas"` and
     * `"ledoit-wolf"` by what estimates the covariance best, `"loo"` by the leave-one-out error of a ridge regression of
     * the scores. `"md"` and `"pca"` have none.
     */
    lambda?: number | (typeof lambdaRules)[number];
}

export interface FitDirectionPathOptions extends CommonFitOptions {
    /** Several λ, for methods that have one; each layer's covariance is computed once for all of them. */
    lambda: readonly number[];
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
 * Fits a direction per layer from activations and refusal scores, in float64 through BLAS, on a thread of its own. With a
 * list as `lambda`, one fit for each, in its order.
 *
 * Sources: arXiv 2512.16602 (Refusal Steering) for `"md"`, `"rmd"` and `"wrmd"`, arXiv 2310.01405 (representation
 * engineering) for `"pca"`; docs/fit-direction.md has the formulas.
 *
 * @throws SteerError EMPTY_CLASS, NOT_FINITE, WIDTH_MISMATCH, SINGULAR_MATRIX, OUT_OF_MEMORY, ABORTED, INVALID_ARGUMENT
 */
export function fitDirection(options: FitDirectionPathOptions): Promise<DirectionFit[]>;
export function fitDirection(options: FitDirectionOptions): Promise<DirectionFit>;
export async function fitDirection(
    options: FitDirectionOptions | FitDirectionPathOptions,
): Promise<DirectionFit | DirectionFit[]> {
    const settings = fitSettings(options);
    const { layers, lambda = 1 } = options;
    const fitting = runTask(() => native.fitDirections(settings, options.onProgress), options.signal);
    const { fits, notice } = await fitting.catch((error: unknown) => {
        throw withLayerNumber(error, layers);
    });
    emitNotice(notice);
    const results = fits.map((fit, i) => result(fit, layers, metadataOf(settings, lambda, i)));
    return typeof lambda === "object" ? results : (results[0] as DirectionFit);
}

function result(fit: NativeFit["fits"][number], layers: readonly number[], metadata: VectorMetadata): DirectionFit {
    return {
        vector: new SteeringVector(layers, fit.directions, { metadata }),
        layers: fit.layers.map((each, i) => ({ layer: layers[i] as number, ...each })),
    };
}

function metadataOf(settings: FitSettings, lambda: FitDirectionOptions["lambda"] | readonly number[], index: number) {
    const method = methods[settings.method] as string;
    const lambdas: VectorMetadata =
        typeof lambda === "string"
            ? { lambdaRule: lambda }
            : {
                  lambda: settings.lambdas[index] as number,
                  ...(settings.lambdaUnit === 0 ? {} : { lambdaUnit: "absolute" }),
              };
    return {
        method,
        samples: settings.scores.length,
        ...(method === "md" || method === "pca" ? {} : lambdas),
        preserveMode: preserveModes[settings.preserveMode] as string,
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

/** The linear algebra in use, such as `"openblas 0.3.21"` or `"builtin"`. */
export function ridgeBackend(): string {
    return native.ridgeBackend();
}
