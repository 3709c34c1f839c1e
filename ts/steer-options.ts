import { checkBoolean, checkFinite, checkObject, checkOneOf, checkString, describe } from "./check.js";
import type { Condition } from "./condition.js";
import type { LayerSelection } from "./layers.js";
import type { Schedule } from "./schedule.js";
import { SteerError } from "./steer-error.js";
import { SteeringVector } from "./steering-vector.js";
import type { TokenSelection } from "./token-selection.js";

/** What an intervention does, in the native order. */
export const operations = ["add", "ablate", "clamp", "set", "affine", "rotate", "track", "observe"] as const;
export type Operation = (typeof operations)[number];

/** What all interventions have in common. */
export interface CommonSteerOptions {
    /**
     * How strongly, the same for all tokens or as a {@link Schedule} says: the factor of what is added, the part of the way
     * to go (1: all of it), or the angle in radians of a rotation. Negative goes the other way. Default 1.
     */
    strength?: Schedule;
    /** Where in a block. Default: the vector's own site, which is `"residual"` unless its metadata says otherwise. */
    site?: string;
    /** Layers of the vectors to use. Default: all they have. */
    layers?: LayerSelection;
    /** On which tokens it acts. Default `"all"`. */
    tokens?: TokenSelection;
    /** It acts only where this is fulfilled. Default: always. */
    when?: Condition;
    /** Scales every row it changed back to the length it had. Default false. */
    preserveNorm?: boolean;
}

/**
 * Of strengths to add, and of values and bounds: `"raw"` (default), the model's own units, or `"norm"`, multiples of the
 * mean norm of the model's rows at the layer, along the direction of the vector at length 1.
 */
export type StrengthUnit = "raw" | "norm";

/** h + strength · (v₁ + v₂ + …), the vectors as long as they are. */
export interface AddOptions extends CommonSteerOptions {
    operation?: "add";
    unit?: StrengthUnit;
}

/** h without the part of it in the span of the vectors: h - strength · V Vᵀ h, V an orthonormal basis. */
export interface AblateOptions extends CommonSteerOptions {
    operation: "ablate";
}

/** Every projection v̂ᵀh into [low, high], all of them at once by the smallest change of h. */
export interface ClampOptions extends CommonSteerOptions {
    operation: "clamp";
    /** Open where left out. */
    low?: number;
    high?: number;
    unit?: StrengthUnit;
}

/** Every projection v̂ᵀh to a value, all of them at once by the smallest change of h. */
export interface SetOptions extends CommonSteerOptions {
    operation: "set";
    value: number;
    unit?: StrengthUnit;
}

/** h + strength · (U Vᵀ h + b): V are the vectors, U as many more, b one. Low rank, as LoReFT (arXiv 2404.03592). */
export interface AffineOptions extends CommonSteerOptions {
    operation: "affine";
    up: SteeringVector | readonly SteeringVector[];
    bias?: SteeringVector;
}

/** h turned by the angle `strength` in the plane of two vectors, from the first towards the second. Keeps the norm. */
export interface RotateOptions extends CommonSteerOptions {
    operation: "rotate";
}

/**
 * Holds every projection v̂ᵀh at a target or within a band, token by token, and reports what it found before it acted, in
 * {@link GeneratedToken.projections}.
 */
export interface TrackOptions extends CommonSteerOptions {
    operation: "track";
    /** The target; or a band: */
    target?: number;
    low?: number;
    high?: number;
    unit?: StrengthUnit;
}

/** Changes nothing, reports every projection v̂ᵀh in {@link GeneratedToken.projections}. */
export interface ObserveOptions extends CommonSteerOptions {
    operation: "observe";
}

/** One intervention, by its `operation`. Default: what the vector is for, which is `"add"` unless its metadata says otherwise. */
export type SteerOptions =
    | AddOptions
    | AblateOptions
    | ClampOptions
    | SetOptions
    | AffineOptions
    | RotateOptions
    | TrackOptions
    | ObserveOptions;

/** The numbers of an intervention that can change while it is in force. */
export interface SteerNumbers {
    strength?: Schedule;
    /** Of `"set"`. */
    value?: number;
    /** Of `"track"`. */
    target?: number;
    /** Of `"clamp"` and `"track"`. */
    low?: number;
    high?: number;
}

const common = ["operation", "strength", "site", "layers", "tokens", "when", "preserveNorm"];
/** What each operation takes beside that. */
const own: Record<Operation, readonly string[]> = {
    add: ["unit"],
    ablate: [],
    clamp: ["low", "high", "unit"],
    set: ["value", "unit"],
    affine: ["up", "bias"],
    rotate: [],
    track: ["target", "low", "high", "unit"],
    observe: [],
};

/**
 * @internal Refuses options that the operation does not take.
 *
 * @param otherwise the operation where the options name none
 */
export function checkSteerOptions(options: SteerOptions, otherwise: string): Operation {
    checkObject(options, "options");
    const { operation = otherwise, site, preserveNorm } = options;
    checkOneOf(operation, operations, "operation");
    const allowed = [...common, ...own[operation]];
    for (const key of Object.keys(options)) {
        if (!allowed.includes(key) && (options as Record<string, unknown>)[key] !== undefined) {
            throw new SteerError(
                "INVALID_ARGUMENT",
                `operation "${operation}" takes no ${describe(key)}; it takes: ${allowed.join(", ")}`,
            );
        }
    }
    if (site !== undefined) {
        checkString(site, "site");
    }
    if (preserveNorm !== undefined) {
        checkBoolean(preserveNorm, "preserveNorm");
    }
    if ("unit" in options && options.unit !== undefined) {
        checkOneOf(options.unit, ["raw", "norm"], "unit");
    }
    return operation;
}

/** @internal The bounds of projections, checked; undefined is open. */
export function boundsOf(operation: Operation, numbers: SteerNumbers): { low?: number; high?: number } {
    const { value, target, low, high } = numbers;
    for (const [name, number] of Object.entries({ value, target, low, high })) {
        if (number !== undefined) {
            checkFinite(number, name);
        }
    }
    if (operation === "set") {
        if (value === undefined) {
            throw new SteerError("INVALID_ARGUMENT", 'operation "set" needs a value');
        }
        return { low: value, high: value };
    }
    if (operation === "track" && target !== undefined) {
        if (low !== undefined || high !== undefined) {
            throw new SteerError("INVALID_ARGUMENT", "track holds a target or a band from low to high, not both");
        }
        return { low: target, high: target };
    }
    if (operation === "clamp" || operation === "track") {
        if (low === undefined && high === undefined) {
            throw new SteerError("INVALID_ARGUMENT", `operation "${operation}" needs low or high, or both`);
        }
        if (low !== undefined && high !== undefined && low > high) {
            throw new SteerError("INVALID_ARGUMENT", `low (${low}) must not exceed high (${high})`);
        }
    }
    return { ...(low === undefined ? {} : { low }), ...(high === undefined ? {} : { high }) };
}

/** @internal One vector or a list, as a list. */
export function vectorList(vectors: unknown, name: string): SteeringVector[] {
    const list: unknown[] = Array.isArray(vectors) ? vectors : [vectors];
    if (list.length === 0 || !list.every((each) => each instanceof SteeringVector)) {
        throw new SteerError("INVALID_ARGUMENT", `${name} must be a SteeringVector, or a list of at least one`);
    }
    return list as SteeringVector[];
}
