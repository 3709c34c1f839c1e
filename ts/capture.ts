import { Activations, type RowLabels } from "./activations.js";
import { lease, release } from "./buffer-lease.js";
import { checkOneOf, checkString, describe } from "./check.js";
import { type LayerSelection, selectLayers } from "./layers.js";
import type { NativeCaptureLabels, NativeContext } from "./native.js";
import { SteerError } from "./steer-error.js";

const rowSelections = ["all", "last"] as const;

export interface CaptureOptions {
    /** What to capture: `"residual"`, the output of a block (default), or a raw node name of llama.cpp. */
    site?: string;
    /** Default `"all"`. */
    layers?: LayerSelection;
    /**
     * `"all"` (default): every token, written in place by the model itself. `"last"`: of each sequence the last token of
     * a complete prompt (each token of kind `"generated"`).
     */
    rows?: "all" | "last";
    /**
     * Rows per layer to make room for. Default: a full batch (`"all"`) or one per sequence (`"last"`); what `into` holds
     * where it is given.
     */
    capacity?: number;
    /**
     * Memory to write to instead of our own: [layers][capacity][width] floats, from its beginning. Shared memory can be
     * read by other threads; an ArrayBuffer cannot be transferred any more once it was lent.
     */
    into?: Float32Array;
}

/**
 * A live view of one site: each evaluation of the context replaces its rows. {@link copy} keeps them.
 * Made by {@link Context.capture}. Where steering acts on the same site, rows are captured after it.
 */
export class Capture extends Activations {
    readonly #native: NativeContext;
    readonly #onDispose: (id: number) => Promise<void> | undefined;
    #disposed: Promise<void> | undefined;

    /** @internal */
    readonly id: number;
    readonly rows: "all" | "last";

    /** @internal */
    static attach(
        native: NativeContext,
        context: { sequences: number; batchSize: number },
        options: CaptureOptions,
        onDispose: (id: number) => Promise<void> | undefined,
    ): Capture {
        const { site = "residual", layers = "all", rows = "all", capacity, into } = options;
        checkString(site, "site");
        checkOneOf(rows, rowSelections, "rows");
        const sites = Capture.sites(native);
        const found = Object.hasOwn(sites, site) ? sites[site] : undefined;
        if (found === undefined) {
            const list = Object.keys(sites).join(", ");
            throw new SteerError("SITE_UNKNOWN", `this model has no site ${describe(site)}; it has: ${list}`);
        }
        const selected = selectLayers(layers, found.layers);
        if (capacity !== undefined && (!Number.isInteger(capacity) || capacity < 1)) {
            throw new SteerError(
                "INVALID_ARGUMENT",
                `capacity must be a whole number of 1 or more, not ${describe(capacity)}`,
            );
        }
        const floats = (count: number): number => selected.length * count * found.width;
        const memory =
            into === undefined
                ? ownMemory(floats(capacity ?? (rows === "all" ? context.batchSize : context.sequences)))
                : beginOf(into, capacity === undefined ? undefined : floats(capacity));
        lease(memory);
        try {
            const id = native.attach(site, Int32Array.from(selected), rows === "all" ? 0 : 1, memory);
            const room = Math.floor(memory.length / selected.length / found.width);
            return new Capture(native, id, site, selected, rows, found.width, room, memory, onDispose);
        } catch (error) {
            release(memory);
            throw error;
        }
    }

    /** @internal The sites of a model by their public names. */
    static sites(native: NativeContext): Record<string, { layers: number[]; width: number }> {
        const { l_out: residual, ...raw } = native.sites();
        return residual === undefined ? raw : { residual, l_out: residual, ...raw };
    }

    private constructor(
        native: NativeContext,
        id: number,
        site: string,
        layers: readonly number[],
        rows: "all" | "last",
        width: number,
        capacity: number,
        memory: Float32Array,
        onDispose: (id: number) => Promise<void> | undefined,
    ) {
        const none = { sequence: new Int32Array(0), position: new Int32Array(0), token: new Int32Array(0) };
        super(site, layers, width, capacity, memory, Array(layers.length).fill(none));
        this.#native = native;
        this.#onDispose = onDispose;
        this.id = id;
        this.rows = rows;
    }

    /** @internal Takes over the labels of an evaluation. */
    receive(labels: NativeCaptureLabels): void {
        const full = splitLabels(labels.full);
        const cut = splitLabels(labels.cut);
        this.rowLabels = labels.isCut.map((isCut) => (isCut ? cut : full));
    }

    /** Ends the capture; its memory stays as it is. Calling it again does nothing. */
    dispose(): Promise<void> {
        this.#disposed ??= this.#detach();
        return this.#disposed;
    }

    async #detach(): Promise<void> {
        try {
            await this.#native.detach(this.id, this.data);
            await this.#onDispose(this.id);
        } finally {
            release(this.data);
        }
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.dispose();
    }
}

/** The caller's array, cut to what is asked for. */
function beginOf(into: Float32Array, floats: number | undefined): Float32Array {
    if (!(into instanceof Float32Array)) {
        throw new SteerError("INVALID_ARGUMENT", `into must be a Float32Array, not ${describe(into)}`);
    }
    if (floats !== undefined && into.length > floats) {
        return into.subarray(0, floats);
    }
    if (floats !== undefined && into.length > 0 && into.length < floats) {
        throw new SteerError("BUFFER_TOO_SMALL", `into holds ${into.length} floats; this capacity takes ${floats}`);
    }
    return into;
}

/** Shared memory: it cannot be detached, and other threads can read it. */
function ownMemory(floats: number): Float32Array {
    try {
        return new Float32Array(new SharedArrayBuffer(floats * Float32Array.BYTES_PER_ELEMENT));
    } catch (cause) {
        throw new SteerError(
            "OUT_OF_MEMORY",
            `cannot allocate ${floats} floats for a capture: capture fewer layers, or give a smaller capacity`,
            { cause },
        );
    }
}

function splitLabels(triples: Int32Array): RowLabels {
    const count = triples.length / 3;
    const pick = (offset: number): Int32Array =>
        Int32Array.from({ length: count }, (_, i) => triples[3 * i + offset] as number);
    return { sequence: pick(0), position: pick(1), token: pick(2) };
}
