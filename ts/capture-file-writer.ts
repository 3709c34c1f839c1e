import { Activations } from "./activations.js";
import { checkBoolean, checkLayer, checkObject, checkOneOf, checkString, describe } from "./check.js";
import { type NativeCaptureWriter, native } from "./native.js";
import { holdRows } from "./row-readers.js";
import { runTask } from "./run-task.js";
import { SteerError } from "./steer-error.js";

const types = ["f32", "f16"] as const;
const syncs = ["shard", "append"] as const;

/** What a {@link CaptureFileWriter} writes, and how. */
export interface CaptureFileWriterOptions {
    /** The site of all rows, such as `"residual"`. */
    site: string;
    /** The layers to write, ascending: {@link Activations} may hold others as well. */
    layers: readonly number[];
    /** Elements in a row: the model's hidden size, for most sites. */
    width: number;
    /** How elements are stored. Default `"f32"`, bit for bit; `"f16"` rounds to nearest, ties to even. */
    type?: (typeof types)[number];
    /** What readers should know beside: the model's architecture and fingerprint, the data set... */
    metadata?: Readonly<Record<string, string>>;
    /** About as large the files become. Default 256 MiB. */
    shardBytes?: number;
    /**
     * Go on with the capture that the directory holds, closed or interrupted, behind its last committed row; if it holds
     * none, begin one. Default false: then it must hold none.
     */
    append?: boolean;
    /**
     * With `append`, where a power failure damaged rows of the shard that was being written: go on behind those before the
     * first damaged one, which overwrites it and what follows. Reads that shard. Default false: damage is refused.
     */
    recover?: boolean;
    /**
     * What a power failure may take. `"shard"` (default): at most rows of the last shard, unless closed. `"append"`:
     * nothing that an append acknowledged; each waits for the disk twice.
     */
    sync?: (typeof syncs)[number];
}

export interface CaptureFileAppendOptions {
    /** Per row the index of its prompt in a data set. Default -1 for all. */
    prompts?: Int32Array;
    /** Ends the append; no row of it is kept. */
    signal?: AbortSignal;
}

/**
 * Writes activations to a directory of safetensors shards as they come; `docs/capture-files.md` has the format.
 *
 * Rows that {@link append} acknowledged survive the process, however it ends; {@link CaptureFile} reads them at any time,
 * also beside the writer. One writer at a time has the directory, over all processes.
 */
export class CaptureFileWriter {
    readonly #native: NativeCaptureWriter;
    #closed: Promise<void> | undefined;

    readonly site: string;
    /** Layers written, ascending. */
    readonly layers: readonly number[];
    /** Elements in a row. */
    readonly width: number;
    readonly type: "f32" | "f16";

    /**
     * Opens a directory for writing and makes it where it is missing.
     *
     * @throws SteerError INVALID_ARGUMENT (also where a capture is there and `append` is not given, or is of another site,
     * layers, type or metadata), WIDTH_MISMATCH (of another width), FILE_IN_USE, FILE_WRITE_FAILED, FILE_UNREADABLE,
     * DATA_DAMAGED (what is there)
     */
    static async open(directory: string, options: CaptureFileWriterOptions): Promise<CaptureFileWriter> {
        checkString(directory, "directory");
        checkObject(options, "options");
        const {
            site,
            layers,
            width,
            type = "f32",
            metadata = {},
            shardBytes,
            append = false,
            recover = false,
            sync = "shard",
        } = options;
        checkString(site, "site");
        checkLayers(layers);
        checkOneOf(type, types, "type");
        checkBoolean(append, "append");
        checkBoolean(recover, "recover");
        checkOneOf(sync, syncs, "sync");
        const settings = {
            site,
            layers: Int32Array.from(layers),
            width,
            half: type === "f16",
            metadata: metadataPairs(metadata),
            shardBytes,
            append,
            recover,
            durable: sync === "append",
        };
        return new CaptureFileWriter(await runTask(() => native.openCaptureWriter(directory, settings)));
    }

    private constructor(writer: NativeCaptureWriter) {
        const { site, layers, width, type } = writer.describe();
        this.#native = writer;
        this.site = site;
        this.layers = layers;
        this.width = width;
        this.type = type;
    }

    /** Rows committed, those from before included. */
    get rows(): number {
        return this.#native.rows();
    }

    /**
     * Appends the rows of this file's layers, with their labels: all of them or, where it fails, none. Appends are done in
     * the order of the calls, also if they are not awaited. Rows on shared memory, as of a {@link Capture}, are written
     * straight from there and must not change before the promise settles: the next evaluation of a live {@link Capture}
     * waits for that. Others are copied when it is called.
     *
     * After an error the writer can go on, and the same rows can be appended again; only where the last step itself failed,
     * which makes rows count, all further appends fail with FILE_WRITE_FAILED: close, and open with `append`.
     *
     * @throws SteerError FILE_WRITE_FAILED (most often a full disk: make room and append again), NOT_FINITE (a value that
     * `"f16"` cannot hold; the message names the row), LAYER_OUT_OF_RANGE, WIDTH_MISMATCH, INVALID_ARGUMENT (another site;
     * layers with different numbers of rows), ABORTED, DISPOSED
     */
    async append(activations: Activations, options: CaptureFileAppendOptions = {}): Promise<void> {
        if (!(activations instanceof Activations)) {
            throw new SteerError("INVALID_ARGUMENT", `activations must be Activations, not ${describe(activations)}`);
        }
        checkObject(options, "options");
        const { prompts, signal } = options;
        if (this.#closed !== undefined) {
            throw new SteerError("DISPOSED", "the capture file was closed");
        }
        const rows = this.#rowsOf(activations);
        const { sequence, position, token } = activations.labels(this.layers[0] as number);
        const block = {
            slots: Int32Array.from(this.layers, (layer) => activations.layers.indexOf(layer)),
            capacity: activations.capacity,
            rows,
            sequence,
            position,
            token,
            prompt: prompts,
        };
        const appending = runTask(() => this.#native.append(activations.data, block), signal);
        holdRows(activations, appending);
        await appending;
    }

    /** Checks that the activations fit this file; returns their number of rows. */
    #rowsOf(activations: Activations): number {
        if (activations.site !== this.site) {
            throw new SteerError(
                "INVALID_ARGUMENT",
                `these activations are of site ${describe(activations.site)}; the file takes ${describe(this.site)}`,
            );
        }
        if (activations.width !== this.width) {
            throw new SteerError(
                "WIDTH_MISMATCH",
                `these activations are ${activations.width} wide; the file takes rows of ${this.width}`,
            );
        }
        const counts = new Set(this.layers.map((layer) => activations.rowCount(layer)));
        if (counts.size !== 1) {
            throw new SteerError(
                "INVALID_ARGUMENT",
                `layers hold different numbers of rows (${[...counts].join(" and ")}): capture chosen rows, or write a ` +
                    "file without the last layer",
            );
        }
        return [...counts][0] as number;
    }

    /**
     * Waits for the appends, marks the capture as complete, cuts off room that was not used, and lets go of the directory.
     * When the promise resolves, all of it lies on the disk. Calling it again does nothing.
     *
     * @throws SteerError FILE_WRITE_FAILED: the directory is let go all the same, with every row, as if the writer had been
     * killed; open it with `append` and close again once there is room
     */
    close(): Promise<void> {
        this.#closed ??= this.#native.close();
        return this.#closed;
    }

    /** {@link close}. */
    [Symbol.asyncDispose](): Promise<void> {
        return this.close();
    }
}

function checkLayers(layers: unknown): asserts layers is readonly number[] {
    if (!Array.isArray(layers) || layers.length === 0) {
        throw new SteerError("INVALID_ARGUMENT", `layers must be a list of layer numbers, not ${describe(layers)}`);
    }
    for (const layer of layers) {
        checkLayer(layer, "a layer");
    }
}

/** Keys and values in turn. */
function metadataPairs(metadata: unknown): string[] {
    checkObject(metadata, "metadata");
    return Object.entries(metadata).flatMap(([key, value]: [string, unknown]) => {
        checkString(value, `metadata ${describe(key)}`);
        return [key, value];
    });
}
