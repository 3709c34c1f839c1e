import type { Activations } from "./activations.js";
import type { CaptureFile } from "./capture-file.js";
import { checkBoolean, checkLayer, checkObject, checkOneOf, describe } from "./check.js";
import { emitNotice } from "./emit-notice.js";
import { selectLayers } from "./layers.js";
import { type AddFileMomentsOptions, type AddMomentsOptions, startAdding } from "./moments-source.js";
import { type NativeMoments, type NativeMomentsOptions, native } from "./native.js";
import { SteerError } from "./steer-error.js";

const secondMoments = ["none", "diagonal", "full"] as const;

export interface MomentsOptions {
    /** Layers to keep moments of, ascending. */
    layers: readonly number[];
    /** Floats in a row. */
    width: number;
    /** Classes of rows that are kept apart, such as refusing and complying. Default 1. */
    groups?: number;
    /** Whether to keep covariances (`"full"`, default: 4·width·(width + 256) bytes), variances only, or means only. */
    secondMoment?: (typeof secondMoments)[number];
}

export interface NormalizationOptions {
    /** Divide by W - Σw²/W (n - 1 where all weights are equal) instead of W = Σw. Default false. */
    unbiased?: boolean;
}

/** What `fromBytes` hands to the constructor. */
class StoredMoments {
    constructor(readonly bytes: Uint8Array) {}
}

/**
 * Running moments of activations: for each layer and group the number of rows, their weight, mean and covariance, in
 * float64, without keeping the rows. Two accumulators {@link merge} into what one would be that saw the rows of both.
 *
 * Rows w_i, x_i: W = Σw, μ = Σwx / W, Σ = Σw(x - μ)(x - μ)ᵀ / W. Source: Chan, Golub, LeVeque, The American
 * Statistician 37 (1983). See `docs/moments.md`.
 *
 * While something is being added, reading, merging and saving are refused with INVALID_ARGUMENT. Any method throws
 * DISPOSED after {@link dispose}.
 */
export class MomentsAccumulator {
    readonly #native: NativeMoments;

    /** Layers that moments are kept of, ascending. */
    readonly layers: readonly number[];
    /** Floats in a row. */
    readonly width: number;
    /** Number of groups. */
    readonly groups: number;
    /** What is kept beside means. */
    readonly secondMoment: (typeof secondMoments)[number];
    /** Native memory held. */
    readonly bytes: number;

    /** @throws SteerError INVALID_ARGUMENT, OUT_OF_MEMORY with the memory needed */
    constructor(options: MomentsOptions);
    /** @internal */
    constructor(stored: StoredMoments);
    constructor(source: MomentsOptions | StoredMoments) {
        this.#native =
            source instanceof StoredMoments
                ? native.momentsFromBytes(source.bytes)
                : native.createMoments(nativeOptions(source));
        const shape = this.#native.shape();
        this.layers = Object.freeze([...shape.layers]);
        this.width = shape.width;
        this.groups = shape.groups;
        this.secondMoment = secondMoments[shape.secondMoment] as (typeof secondMoments)[number];
        this.bytes = shape.bytes;
    }

    /**
     * Bytes of native memory that an accumulator of these options takes, whatever the number of rows.
     *
     * @throws SteerError INVALID_ARGUMENT, OUT_OF_MEMORY for more than any machine has
     */
    static bytesNeeded(options: MomentsOptions): number {
        return native.momentsBytes(nativeOptions(options));
    }

    /**
     * An accumulator as {@link toBytes} wrote it.
     *
     * @throws SteerError DATA_DAMAGED, INVALID_ARGUMENT, OUT_OF_MEMORY
     */
    static fromBytes(bytes: Uint8Array): MomentsAccumulator {
        return new MomentsAccumulator(new StoredMoments(bytes));
    }

    /**
     * Adds rows, on a thread of its own; several calls are done one after the other, in call order. Layers beyond this
     * accumulator's are ignored. Shared memory, as captures have by default, is read where it is, and must not change
     * before the promise settles: the next evaluation of a live {@link Capture} waits for that. Rows on an ArrayBuffer
     * are copied, as are `groups` and `weights`.
     *
     * All or nothing: after a rejection the accumulator is bit for bit what it was. An abort is heard until the sums of
     * these rows are known, or, for few rows of great width, until all were checked (see `docs/moments.md`).
     *
     * @throws SteerError LAYER_OUT_OF_RANGE, WIDTH_MISMATCH, INVALID_ARGUMENT (layers with different numbers of rows; a
     * group or weight out of range), NOT_FINITE, OUT_OF_MEMORY, ABORTED, DISPOSED, BUFFER_DETACHED
     */
    async add(activations: Activations, options?: AddMomentsOptions): Promise<void>;
    /**
     * Adds rows of a file from the disk, however large it is: they are read where the system maps them, pass neither
     * through JavaScript nor through a copy, and each is checked against its checksum before it counts. `file` may be
     * disposed of meanwhile; what it has open stays so until the promise settles.
     *
     * All or nothing, as above. More than a piece of 32 MB or 512 rows takes as much memory again as the accumulator has
     * for the groups that get rows; then an abort is heard until everything is summed up.
     *
     * @throws SteerError DATA_DAMAGED (the message names shard, layer and row), FILE_UNREADABLE, and as above; rows are
     * called by their number in the file
     */
    async add(file: CaptureFile, options?: AddFileMomentsOptions): Promise<void>;
    /** Adds the rows of either. */
    async add(source: Activations | CaptureFile, options?: AddMomentsOptions): Promise<void>;
    async add(source: Activations | CaptureFile, options: AddFileMomentsOptions = {}): Promise<void> {
        emitNotice(await startAdding(this.#native, source, this, options));
    }

    /** Rows of positive weight added to a group. @throws SteerError LAYER_OUT_OF_RANGE, INVALID_ARGUMENT */
    count(layer: number, group = 0): number {
        return this.#native.sums(this.#slot(layer), group).count;
    }

    /** Sum of the weights W of a group. @throws SteerError LAYER_OUT_OF_RANGE, INVALID_ARGUMENT */
    weight(layer: number, group = 0): number {
        return this.#native.sums(this.#slot(layer), group).weight;
    }

    /**
     * W² / Σw²: as many rows of equal weight would tell as much; 0 for an empty group. Source: Kish, Survey Sampling
     * (1965).
     *
     * @throws SteerError LAYER_OUT_OF_RANGE, INVALID_ARGUMENT
     */
    effectiveSamples(layer: number, group = 0): number {
        return this.#native.sums(this.#slot(layer), group).effective;
    }

    /** The mean μ, [width]. @throws SteerError EMPTY_CLASS, LAYER_OUT_OF_RANGE, INVALID_ARGUMENT */
    mean(layer: number, group = 0): Float64Array {
        return this.#native.mean(this.#slot(layer), group, allocate(Float64Array, this.width));
    }

    /**
     * The diagonal of the covariance, [width].
     *
     * @throws SteerError EMPTY_CLASS, LAYER_OUT_OF_RANGE, INVALID_ARGUMENT (also where no second moment is kept, and for
     * `unbiased` with a single row)
     */
    variance(layer: number, group = 0, options: NormalizationOptions = {}): Float64Array {
        const unbiased = unbiasedOf(options);
        return this.#native.variance(this.#slot(layer), group, allocate(Float64Array, this.width), unbiased);
    }

    /**
     * The covariance Σ, [width][width], whole.
     *
     * @throws SteerError EMPTY_CLASS, LAYER_OUT_OF_RANGE, OUT_OF_MEMORY, INVALID_ARGUMENT (also where the full second
     * moment is not kept, and for `unbiased` with a single row)
     */
    covariance(layer: number, group = 0, options: NormalizationOptions = {}): Float64Array {
        const unbiased = unbiasedOf(options);
        const slot = this.#slot(layer);
        const numbers = this.secondMoment === "full" ? this.width ** 2 : 0;
        return this.#native.covariance(slot, group, allocate(Float64Array, numbers), unbiased);
    }

    /**
     * Adds all that another accumulator of the same layers, width, groups and second moment has seen, and leaves that
     * one as it is.
     *
     * @throws SteerError WIDTH_MISMATCH, INVALID_ARGUMENT
     */
    merge(other: MomentsAccumulator): void {
        if (!(other instanceof MomentsAccumulator)) {
            throw new SteerError("INVALID_ARGUMENT", `other must be a MomentsAccumulator, not ${describe(other)}`);
        }
        this.#native.merge(other.#native);
    }

    /** Everything in a versioned format with a checksum, for {@link fromBytes}. @throws SteerError OUT_OF_MEMORY */
    toBytes(): Uint8Array {
        return this.#native.write(allocate(Uint8Array, this.#native.byteCount()));
    }

    /** Frees the memory, at once or when the sum that runs has ended; what waits or runs is rejected with DISPOSED. */
    dispose(): void {
        this.#native.dispose();
    }

    [Symbol.dispose](): void {
        this.dispose();
    }

    /**
     * The native moments, and which of their layers `layer` is.
     *
     * @internal
     */
    static nativeOf(moments: MomentsAccumulator, layer: number): [NativeMoments, number] {
        return [moments.#native, moments.#slot(layer)];
    }

    #slot(layer: number): number {
        checkLayer(layer, "layer");
        return this.layers.indexOf(selectLayers(layer, this.layers)[0] as number);
    }
}

function nativeOptions(options: MomentsOptions): NativeMomentsOptions {
    checkObject(options, "options");
    const { layers, width, groups = 1, secondMoment = "full" } = options;
    if (!Array.isArray(layers) || layers.length === 0) {
        throw new SteerError("INVALID_ARGUMENT", `layers must be a list of layer numbers, not ${describe(layers)}`);
    }
    for (const layer of layers) {
        checkLayer(layer, "a layer");
    }
    checkOneOf(secondMoment, secondMoments, "secondMoment");
    return { layers: Int32Array.from(layers), width, groups, secondMoment: secondMoments.indexOf(secondMoment) };
}

function unbiasedOf(options: NormalizationOptions): boolean {
    checkObject(options, "options");
    const { unbiased = false } = options;
    checkBoolean(unbiased, "unbiased");
    return unbiased;
}

function allocate<Numbers>(type: new (length: number) => Numbers, length: number): Numbers {
    try {
        return new type(length);
    } catch (cause) {
        throw new SteerError(
            "OUT_OF_MEMORY",
            `cannot allocate an array of ${length} numbers: keep moments of fewer layers or groups, or read variances`,
            { cause },
        );
    }
}
