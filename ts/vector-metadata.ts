import { checkCount, checkObject, checkString, describe } from "./check.js";
import { SteerError } from "./steer-error.js";

/** The model that a vector was made for. */
export interface VectorModel {
    /** llama.cpp's name of the architecture, such as `"qwen3"`. */
    readonly architecture: string;
    /** Blocks. */
    readonly layers: number;
    /** Width of the residual stream. */
    readonly hiddenSize: number;
    /** Whatever tells its weights from those of other models of the same shape. */
    readonly fingerprint?: string;
}

/** What is known of a vector beside its numbers. Any other key may hold a text. */
export interface VectorMetadata {
    /** What the directions are for. Default `"add"`; `"ablate"` and others are not to be added. */
    readonly operation?: "add" | "ablate" | (string & {}) | undefined;
    /** Where they belong. Default `"residual"`. */
    readonly site?: string | undefined;
    readonly model?: VectorModel | undefined;
    /** How they were found, such as `"wrmd"`. */
    readonly method?: string | undefined;
    /** Ridge λ of the fit, in the unit of the method. */
    readonly lambda?: number | undefined;
    /** Samples that they were fitted on. */
    readonly samples?: number | undefined;
    readonly seed?: number | undefined;
    readonly [key: string]: string | number | VectorModel | undefined;
}

/** Metadata as a vector holds it: the defaults filled in, and frozen. */
export type CompleteVectorMetadata = VectorMetadata & { readonly operation: string; readonly site: string };

/** @internal Of a free key: what can be written to any file, and is no name that objects have already. */
export const freeKey = /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/;
const mostKeys = 256;
const longestText = 262144;

/** @internal What each known key must hold. */
const known: Readonly<Record<string, (value: unknown, name: string) => unknown>> = {
    operation: checkedName,
    site: checkedName,
    method: checkedName,
    lambda: checkedLambda,
    samples: checkedWhole,
    seed: checkedWhole,
    model: checkedModel,
};

/** @internal The keys that mean something to this package. */
export const knownMetadataKeys: readonly string[] = Object.keys(known);

/**
 * @internal A frozen copy with the defaults; keys that hold undefined are left out.
 * @throws SteerError INVALID_ARGUMENT, NOT_FINITE
 */
export function completeMetadata(metadata: VectorMetadata): CompleteVectorMetadata {
    checkObject(metadata, "metadata");
    const given = Object.entries(metadata).filter(([, value]) => value !== undefined);
    if (given.length > mostKeys) {
        throw new SteerError("INVALID_ARGUMENT", `metadata holds ${given.length} keys; at most ${mostKeys} are kept`);
    }
    const checked = given.map(([key, value]): [string, unknown] => [key, checkedValue(key, value)]);
    const complete = Object.fromEntries([["operation", "add"], ["site", "residual"], ...checked]);
    return Object.freeze(complete) as CompleteVectorMetadata;
}

function checkedValue(key: string, value: unknown): unknown {
    const check = Object.hasOwn(known, key) ? known[key] : undefined;
    if (check !== undefined) {
        return check(value, `metadata.${key}`);
    }
    if (!freeKey.test(key)) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `metadata key ${describe(key)} must be a letter followed by at most 63 letters, digits, "_", "-" or "."`,
        );
    }
    return checkedText(value, `metadata.${key}`);
}

/** A text that comes back from a file as it was. */
function checkedText(value: unknown, name: string): string {
    checkString(value, name);
    if (value.length > longestText) {
        throw new SteerError("INVALID_ARGUMENT", `${name} must not be longer than ${longestText} characters`);
    }
    if (/\p{Surrogate}|\0/u.test(value)) {
        throw new SteerError("INVALID_ARGUMENT", `${name} holds half a character or a null, which no file can keep`);
    }
    return value;
}

/** @internal A text that is not empty. @throws SteerError INVALID_ARGUMENT */
export function checkedName(value: unknown, name: string): string {
    const text = checkedText(value, name);
    if (text === "") {
        throw new SteerError("INVALID_ARGUMENT", `${name} must not be empty`);
    }
    return text;
}

function checkedLambda(value: unknown, name: string): number {
    if (typeof value !== "number") {
        throw new SteerError("INVALID_ARGUMENT", `${name} must be a number, not ${describe(value)}`);
    }
    if (!Number.isFinite(value)) {
        throw new SteerError("NOT_FINITE", `${name} must be finite, not ${value}`);
    }
    return value;
}

function checkedWhole(value: unknown, name: string): number {
    if (!Number.isSafeInteger(value) || (value as number) < 0) {
        throw new SteerError("INVALID_ARGUMENT", `${name} must be a whole number of 0 or more, not ${describe(value)}`);
    }
    return value as number;
}

/** @internal @throws SteerError INVALID_ARGUMENT */
export function checkedModel(model: unknown, name: string): VectorModel {
    checkObject(model, name);
    const { architecture, layers, hiddenSize, fingerprint } = model as VectorModel;
    checkCount(layers, `${name}.layers`);
    checkCount(hiddenSize, `${name}.hiddenSize`);
    return Object.freeze({
        architecture: checkedName(architecture, `${name}.architecture`),
        layers,
        hiddenSize,
        ...(fingerprint === undefined ? {} : { fingerprint: checkedName(fingerprint, `${name}.fingerprint`) }),
    });
}

/**
 * @internal In what two models differ, in words; undefined where they may be the same. Fingerprints count where both have
 * one.
 */
export function modelDifference(made: VectorModel, used: VectorModel): string | undefined {
    const differences = (["architecture", "layers", "hiddenSize", "fingerprint"] as const).flatMap((key) => {
        const [ours, theirs] = [made[key], used[key]];
        return ours === theirs || ours === undefined || theirs === undefined ? [] : [`${key} ${ours} and ${theirs}`];
    });
    return differences.length === 0 ? undefined : differences.join(", ");
}

/**
 * @internal What holds of a sum of two vectors: that in which their metadata agree, and a model that only one knows.
 * @throws SteerError INVALID_ARGUMENT (other sites or operations), VECTOR_MISMATCH
 */
export function sharedMetadata(a: CompleteVectorMetadata, b: CompleteVectorMetadata): VectorMetadata {
    for (const key of ["site", "operation"] as const) {
        if (a[key] !== b[key]) {
            const both = `${describe(a[key])} and ${describe(b[key])}`;
            throw new SteerError(
                "INVALID_ARGUMENT",
                `these vectors are of different ${key}s, ${both}: they have no sum`,
            );
        }
    }
    checkSameModel(a, b);
    const agreed = Object.entries(a).filter(([key, value]) => key !== "model" && b[key] === value);
    const model = a.model ?? b.model;
    return Object.fromEntries(model === undefined ? agreed : [...agreed, ["model", model]]);
}

/** @internal @throws SteerError VECTOR_MISMATCH where both vectors know their model, and it is not the same */
export function checkSameModel(a: CompleteVectorMetadata, b: CompleteVectorMetadata): void {
    const difference = a.model && b.model && modelDifference(a.model, b.model);
    if (difference !== undefined) {
        throw new SteerError(
            "VECTOR_MISMATCH",
            `these vectors were made for different models (${difference}): their directions have nothing in common`,
        );
    }
}
