import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LayerFit } from "./layer-fit.js";
import type {
    NativeDirectionRequest,
    NativeDirections,
    NativeIntervention,
    NativeInterventionRequest,
    NativeLiveRequest,
    NativeNumbers,
    NativeProjections,
    NativeSchedule,
    NativeSelection,
} from "./native-steering.js";
import type { RidgeSolution } from "./ridge/ridge-solution.js";
import { SteerError } from "./steer-error.js";

export type * from "./native-steering.js";

/** What every cancellable native call returns. */
export interface NativeTask<Result> {
    promise: Promise<Result>;
    cancel(): void;
}

export interface NativeModelInfo {
    architecture: string;
    description: string;
    layers: number;
    hiddenSize: number;
    vocabularySize: number;
    heads: number;
    trainingContext: number;
    parameters: number;
    bytes: number;
    recurrent: boolean;
    chatTemplate: string;
    beginToken: number;
    endToken: number;
    addsBeginToken: boolean;
}

export interface NativeCapture {
    site: string;
    layers: Int32Array;
    rows: NativeSelection;
    half: boolean;
    into: Float32Array | Uint16Array;
}

export type NativeSites = Record<string, { layers: number[]; widths: number[]; heads: number[] }>;

export interface NativeModel {
    info(): NativeModelInfo;
    metadata(key: string): string;
    sites(): Promise<NativeSites>;
    tokenize(text: string, addSpecial: boolean, parseSpecial: boolean): Int32Array;
    tokenBytes(token: number, special: boolean): Uint8Array;
    isEndOfGeneration(token: number): boolean;
    createDirections(request: NativeDirectionRequest): NativeDirections;
    createIntervention(request: NativeInterventionRequest): NativeIntervention;
    createContext(
        options: object,
        onStep: NativeStepListener,
        /** Answers with one number for each request; NaN where the function failed. */
        onLive: (requests: NativeLiveRequest[]) => Float64Array,
    ): NativeTask<NativeContext>;
    dispose(): void;
}

/**
 * Tokens and ends of all generations of one step; `generations[i]` chose `tokens[i]`, of whose text the first
 * `textBytes[i]` bytes count (-1: all).
 */
export type NativeStepListener = (
    generations: Float64Array,
    tokens: Int32Array,
    logProbabilities: Float32Array,
    textBytes: Int32Array,
    ends: NativeGenerationEnd[],
    projections: NativeProjections | undefined,
    alternatives: NativeAlternatives | undefined,
) => void;

/** The alternatives to the tokens of a step, one token's after the other's: `counts[i]` are those of the i-th. */
export interface NativeAlternatives {
    counts: Int32Array;
    tokens: Int32Array;
    logProbabilities: Float32Array;
}

export interface NativeGenerationEnd {
    generation: number;
    reason: "stop" | "length" | "context";
    failure: SteerError | undefined;
    /** Of a generation with a capture that has finished. */
    captured?: NativeCaptureLabels | undefined;
    /** The token that ended it, -1 if none did. */
    stopToken: number;
    /** Which of the stop strings ended it, -1 if none did. */
    stopString: number;
    /** Tokens of the prompt that were taken from another sequence. */
    sharedTokens: number;
}

export interface NativeEntry {
    sequence: number;
    tokens: Int32Array;
    generated: boolean;
    endsPrompt: boolean;
    logits: number;
}

export interface NativeCaptureLabels {
    id: number;
    /** Triples (sequence, position, token) of the rows of a complete layer. */
    full: Int32Array;
    /** The same of a layer that computes output rows only. */
    cut: Int32Array;
    /** Per captured layer: which of the two. */
    isCut: boolean[];
}

export interface NativeEvaluation {
    logitsRows: number;
    captures: NativeCaptureLabels[];
}

export interface NativeContext {
    options(): {
        sequences: number;
        contextSize: number;
        memoryTokens: number;
        batchSize: number;
        promptBudget: number;
        threads: number;
        unifiedMemory: boolean;
        memoryType: "f16" | "f32";
        operators: "own" | "upstream";
    };
    sites(): NativeSites;
    position(sequence: number): number;
    statistics(): {
        graphsBuilt: number;
        graphsReused: number;
        decodes: number;
        tokens: number;
        captureBytesCopied: number;
        heldTokens: number;
        promisedTokens: number;
    };
    evaluate(
        entries: NativeEntry[],
        into: Float32Array | undefined,
        captureMemories: (Float32Array | Uint16Array)[],
        /** Takes its place in the order of calls, and waits there until `start` is called. */
        held: boolean,
    ): NativeTask<NativeEvaluation> & { start?(): void };
    /** `held`: it takes its place in the order of calls, and waits there until `start` is called. */
    generate(sequence: number, prompt: Int32Array, options: object, held: boolean): number;
    start(generation: number): void;
    cancel(generation: number): void;
    setSteering(sequence: number, list: NativeIntervention[]): void;
    setNumbers(intervention: NativeIntervention, numbers: NativeNumbers): void;
    sharePrefix(sequence: number, prompt: Int32Array): Promise<number>;
    truncate(sequence: number, position: number): Promise<void>;
    attach(capture: NativeCapture): number;
    detach(capture: number, into: Float32Array | Uint16Array): Promise<void>;
    dispose(): Promise<void>;
}

export interface NativeCaptureDescription {
    site: string;
    layers: number[];
    width: number;
    type: "f32" | "f16";
    /** Keys and values in turn. */
    metadata: string[];
}

export interface NativeCaptureWriter {
    describe(): NativeCaptureDescription;
    rows(): number;
    append(data: Float32Array | Uint16Array, options: object): NativeTask<void>;
    close(): Promise<void>;
}

export interface NativeCaptureReader {
    describe(): NativeCaptureDescription & { rows: number; complete: boolean };
    labels(): { sequence: Int32Array; position: Int32Array; token: Int32Array; prompt: Int32Array };
    read(slots: Int32Array, from: number, count: number, into: Float32Array | Uint16Array): NativeTask<void>;
    verify(onProgress: ((fraction: number) => void) | undefined): NativeTask<void>;
    dispose(): void;
}

/** Of block slots[i] of `capacity` rows, the first rows[i] belong to layer i. */
export interface NativeRowSource {
    data: Float32Array | Uint16Array;
    slots: Int32Array;
    capacity: number;
    rows: Int32Array;
}

export interface NativeConditionFit {
    threshold: number;
    above: boolean;
    f1: number;
    precision: number;
    recall: number;
    margin: number;
    positiveMean: number;
    negativeMean: number;
}

export interface NativeFit {
    /** One for each lambda. */
    fits: { directions: Float32Array; layers: Omit<LayerFit, "layer">[] }[];
    /** What users should be told about the linear algebra in use, once in a process. */
    notice: string;
}

export interface NativeMomentsOptions {
    layers: Int32Array;
    width: number;
    groups: number;
    /** 0 none, 1 diagonal, 2 full. */
    secondMoment: number;
}

/** Layers are counted as in `shape().layers`; results go to `into`, which is returned. */
export interface NativeMoments {
    shape(): NativeMomentsOptions & { bytes: number };
    /** Fulfilled with what users should be told about the linear algebra in use, once in a process. */
    add(
        data: Float32Array | Uint16Array,
        options: {
            slots: Int32Array;
            capacity: number;
            rows: number;
            groups: Int32Array | number;
            weights: Float32Array | Float64Array | undefined;
        },
    ): NativeTask<string>;
    /** The same of rows of a capture file, which stays open meanwhile. */
    addFile(
        reader: NativeCaptureReader,
        options: {
            slots: Int32Array;
            from: number;
            count: number;
            groups: Int32Array | number;
            weights: Float32Array | Float64Array | undefined;
        },
    ): NativeTask<string>;
    sums(layer: number, group: number): { count: number; weight: number; effective: number };
    mean(layer: number, group: number, into: Float64Array): Float64Array;
    variance(layer: number, group: number, into: Float64Array, unbiased: boolean): Float64Array;
    covariance(layer: number, group: number, into: Float64Array, unbiased: boolean): Float64Array;
    merge(other: NativeMoments): void;
    byteCount(): number;
    write(into: Uint8Array): Uint8Array;
    dispose(): void;
}

export interface NativeRidgeOptions {
    /** 0 absolute, 1 relative, 2 loo, 3 oas, 4 ledoit-wolf. */
    choice: number;
    lambdas: Float64Array;
    /** 0 f64, 1 f32, 2 auto. */
    precision: number;
    /** 0 auto, 1 matrix. */
    method: number;
    residuals: boolean;
    diagnostics: boolean;
    /** 0: none. */
    memoryLimit: number;
}

export interface NativeRidgeRows {
    features: Float32Array | Uint16Array;
    rows: number;
    width: number;
    stride: number;
    targets: Float32Array | Float64Array;
    weights: Float32Array | Float64Array | undefined;
}

export interface NativeRidgeResult {
    solutions: RidgeSolution[];
    /** What users should be told, empty for nothing. */
    notice: string;
}

type OnProgress = ((fraction: number) => void) | undefined;

export interface NativeRidgeAccumulator {
    count(): { count: number; weight: number };
    add(rows: NativeRidgeRows, onProgress: OnProgress): NativeTask<NativeRidgeResult>;
    addFile(
        reader: NativeCaptureReader,
        rows: {
            slot: number;
            from: number;
            count: number;
            targets: Float32Array | Float64Array;
            weights: Float32Array | Float64Array | undefined;
        },
        onProgress: OnProgress,
    ): NativeTask<NativeRidgeResult>;
    addMoments(moments: NativeMoments, layer: number, group: number, targets: Float64Array): void;
    merge(other: NativeRidgeAccumulator): void;
    solve(options: NativeRidgeOptions & { intercept: boolean }, onProgress: OnProgress): NativeTask<NativeRidgeResult>;
    dispose(): void;
}

interface Native {
    initialize(errorClass: typeof SteerError, directory: string): void;
    shutdown(): void;
    errorCodes(): [code: string, meaning: string][];
    loadModel(
        path: string,
        options: object,
        onProgress: ((fraction: number) => void) | undefined,
    ): NativeTask<NativeModel>;
    fitDirections(options: object, onProgress: ((fraction: number) => void) | undefined): NativeTask<NativeFit>;
    searchConditions(options: {
        positive: NativeRowSource[];
        negative: NativeRowSource[];
        layers: Int32Array;
        /** [layers.length][width] */
        vector: Float32Array;
        /** 0 cosine, 1 projection. */
        measure: number;
        /** 0 above, 1 below, 2 either. */
        side: number;
    }): NativeTask<NativeConditionFit[]>;
    meanNorms(source: NativeRowSource, layers: Int32Array, width: number, into: Float32Array): Float32Array;
    createMoments(options: NativeMomentsOptions): NativeMoments;
    momentsFromBytes(bytes: Uint8Array): NativeMoments;
    momentsBytes(options: NativeMomentsOptions): number;
    solveRidge(
        options: NativeRidgeRows & NativeRidgeOptions & { intercept: boolean },
        onProgress: ((fraction: number) => void) | undefined,
    ): NativeTask<NativeRidgeResult>;
    ridgeBytes(
        rows: number,
        width: number,
        targetCount: number,
        options: NativeRidgeOptions,
        copiedBytes: number,
    ): number;
    createRidgeAccumulator(options: {
        width: number;
        targetCount: number;
        memoryLimit: number;
    }): NativeRidgeAccumulator;
    ridgeBackend(): string;
    /** Sets the threads where a count is given, 0 for the default; tells them. */
    ridgeThreads(count?: number): number;
    /** The strengths of a sequence's tokens, of which the first `promptTokens` are its prompt. */
    scheduleValues(
        schedule: NativeSchedule,
        tokens: Int32Array,
        promptTokens: number,
        into: Float64Array,
    ): Float64Array;
    halvesToFloats(halves: Uint16Array, floats: Float32Array): void;
    openCaptureWriter(directory: string, options: object): NativeTask<NativeCaptureWriter>;
    openCaptureReader(directory: string, recover: boolean): NativeTask<NativeCaptureReader>;
}

const require = createRequire(import.meta.url);
const packageFolder = join(dirname(fileURLToPath(import.meta.url)), "..");

function load(): Native {
    let path: string;
    let addon: Native;
    try {
        const nodeGypBuild = require("node-gyp-build") as { resolve(folder: string): string };
        path = nodeGypBuild.resolve(packageFolder);
        addon = require(path) as Native;
    } catch (cause) {
        throw new SteerError(
            "ADDON_MISSING",
            `llama-steer has no native addon for ${process.platform}-${process.arch} that loads here. ` +
                "Build it from source (needs a C++ compiler and CMake) with: npx llama-steer-build",
            { cause },
        );
    }
    addon.initialize(SteerError, dirname(path));
    process.once("exit", () => addon.shutdown());
    return addon;
}

/** The addon; loading it fails with ADDON_MISSING. */
export const native: Native = load();
