import { checkFinite, checkLayer, checkObject, checkOneOf, describe } from "./check.js";
import type { FitDirectionOptions, FitDirectionPathOptions } from "./fit-direction.js";
import { SteerError } from "./steer-error.js";

export const methods = ["md", "rmd", "wrmd", "pca", "lda", "logistic"] as const;
export const preserveModes = ["none", "covariance-within", "covariance-pooled", "project-out", "both"] as const;
export const lambdaUnits = ["relative", "absolute"] as const;
export const lambdaRules = ["oas", "ledoit-wolf", "loo"] as const;

const rulesWithGiven = ["given", ...lambdaRules] as const;
const withCovariance: readonly string[] = ["rmd", "wrmd", "lda"];

/** What the native side is told: choices by their number. */
export interface FitSettings {
    activations: Float32Array;
    layerCount: number;
    scores: Float32Array;
    preserve: Float32Array | undefined;
    method: number;
    preserveMode: number;
    lambdas: Float64Array;
    lambdaUnit: number;
    lambdaRule: number;
    threshold: number;
    crossValidation: number;
    bootstrap: number;
    seed: number;
    memoryBudget: number;
}

/** @throws SteerError INVALID_ARGUMENT, NOT_FINITE; what hangs together with the data is for the native side to refuse */
export function fitSettings(options: FitDirectionOptions | FitDirectionPathOptions): FitSettings {
    checkObject(options, "options");
    const { activations, layers, scores, preserve, method = "wrmd", lambda = 1, threshold = 0.1 } = options;
    const { lambdaUnit = "relative", memoryBudget = 0 } = options;
    const { preserveMode = defaultPreserveMode(preserve !== undefined, method) } = options;
    checkOneOf(method, methods, "method");
    checkOneOf(preserveMode, preserveModes, "preserveMode");
    checkOneOf(lambdaUnit, lambdaUnits, "lambdaUnit");
    checkLayers(layers);
    return {
        activations,
        layerCount: layers.length,
        scores,
        preserve,
        method: methods.indexOf(method),
        preserveMode: preserveModes.indexOf(preserveMode),
        ...checkedLambda(lambda),
        lambdaUnit: lambdaUnits.indexOf(lambdaUnit),
        threshold,
        ...checkedDiagnostics(options.diagnostics),
        memoryBudget: checkedWhole(memoryBudget, "memoryBudget"),
    };
}

function checkLayers(layers: unknown): void {
    if (!Array.isArray(layers) || layers.length === 0) {
        throw new SteerError("INVALID_ARGUMENT", `layers must be a list of layer numbers, not ${describe(layers)}`);
    }
    for (const layer of layers) {
        checkLayer(layer, "a layer");
    }
}

function checkedLambda(lambda: unknown): Pick<FitSettings, "lambdas" | "lambdaRule"> {
    if (typeof lambda === "string") {
        checkOneOf(lambda, lambdaRules, "lambda");
        return { lambdas: Float64Array.of(1), lambdaRule: rulesWithGiven.indexOf(lambda) };
    }
    const list: unknown[] = Array.isArray(lambda) ? lambda : [lambda];
    for (const each of list) {
        checkFinite(each, "lambda");
    }
    return { lambdas: Float64Array.from(list as number[]), lambdaRule: 0 };
}

function checkedDiagnostics(diagnostics: unknown = {}): Pick<FitSettings, "crossValidation" | "bootstrap" | "seed"> {
    checkObject(diagnostics, "diagnostics");
    const { crossValidation = 0, bootstrap = 0, seed = 1 } = diagnostics as FitDirectionOptions["diagnostics"] & object;
    return {
        crossValidation: checkedWhole(crossValidation, "diagnostics.crossValidation"),
        bootstrap: checkedWhole(bootstrap, "diagnostics.bootstrap"),
        seed: checkedWhole(seed, "diagnostics.seed"),
    };
}

function checkedWhole(value: unknown, name: string): number {
    if (!Number.isSafeInteger(value) || (value as number) < 0) {
        throw new SteerError("INVALID_ARGUMENT", `${name} must be a whole number of 0 or more, not ${describe(value)}`);
    }
    return value as number;
}

function defaultPreserveMode(given: boolean, method: string): (typeof preserveModes)[number] {
    if (!given) {
        return "none";
    }
    return withCovariance.includes(method) ? "covariance-pooled" : "project-out";
}
