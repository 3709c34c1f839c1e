// What steering and selections are, as the native side takes and gives it.

/** What {@link TokenSelection} is compiled to. */
export interface NativeSelection {
    scope: number;
    positions?: Int32Array;
    open?: Int32Array;
    close?: Int32Array;
    withMarkers?: boolean;
    required?: boolean;
}

/** What {@link Schedule} is compiled to: the first phase whose selection takes a token says its strength, else it is 0. */
export interface NativeSchedule {
    phases: {
        tokens: NativeSelection;
        /**
         * Five numbers each, by the step they begin at: that step (ascending, the first is -Infinity), the shape (0
         * constant, 1 linear, 2 cosine, 3 exponential), from, to, length in steps. At step n, with t = (n - begin) / length:
         * from; from + (to - from)·min(t, 1); from + (to - from)·(1 - cos(π·min(t, 1))) / 2; to + (from - to)·2^-t.
         */
        segments: Float64Array;
    }[];
}

/** Vectors made ready for an operation, in native memory. Opaque. */
export interface NativeDirections {
    readonly nativeDirections: unique symbol;
}

/** One vector of an intervention: data [layers][width], norms [layers]. */
export interface NativeVector {
    data: Float32Array;
    layers: Int32Array;
    norms?: Float32Array;
}

export interface NativeDirectionRequest {
    /** Index in the list of operations. */
    operation: number;
    normUnits: boolean;
    vectors: NativeVector[];
    up: NativeVector[];
    bias: NativeVector[];
}

export interface NativeNumbers {
    strength: number | NativeSchedule;
    low?: number;
    high?: number;
}

/** `rule`: 0 compares, 1 all, 2 any, 3 not. */
export interface NativeCondition {
    rule: number;
    parts?: NativeCondition[];
    site?: string;
    layer?: number;
    directions?: NativeDirections;
    measure?: number;
    latch?: number;
    above?: boolean;
    threshold?: number;
}

export interface NativeInterventionRequest {
    site: string;
    directions: NativeDirections;
    tokens: NativeSelection;
    when?: NativeCondition;
    preserveNorm: boolean;
    live: boolean;
    numbers: NativeNumbers;
}

export interface NativeIntervention {
    id(): number;
}

/** Asks for the strength of a live intervention in the pass to come. */
export interface NativeLiveRequest {
    intervention: number;
    step: number;
    position: number;
    generated: boolean;
    /** -1 where not known. */
    token: number;
}

/** For each report the token of the step that it goes with, and how many of the values are its. */
export interface NativeProjections {
    tokens: Int32Array;
    interventions: Float64Array;
    counts: Int32Array;
    values: Float32Array;
}
