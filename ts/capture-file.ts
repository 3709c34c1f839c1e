import { Activations } from "./activations.js";
import { lease, release } from "./buffer-lease.js";
import { checkBoolean, checkObject, checkString, describe } from "./check.js";
import { beginOfElements, sharedElements } from "./elements.js";
import { type LayerSelection, selectLayers } from "./layers.js";
import { type NativeCaptureReader, native } from "./native.js";
import { runTask } from "./run-task.js";
import { SteerError } from "./steer-error.js";

/** What the rows of a capture file are the activations of, element by element; -1 where it was not given. */
export interface CaptureFileLabels {
    /** Number of the sequence in the context that evaluated it. */
    sequence: Int32Array;
    /** Position of the token in its sequence. */
    position: Int32Array;
    /** The token's id. */
    token: Int32Array;
    /** Index of the prompt in a data set. */
    prompt: Int32Array;
}

export interface CaptureFileReadOptions {
    /** Default `"all"` of the file's. */
    layers?: LayerSelection;
    /** The first row. Default 0. */
    from?: number;
    /** The row after the last. Default: all rows. */
    to?: number;
    /**
     * Memory to read to instead of our own: [layers][to - from][width] floats, from its beginning. An ArrayBuffer cannot be
     * transferred any more once it was lent. What it holds after an error is not defined.
     */
    into?: Float32Array;
    signal?: AbortSignal;
}

/**
 * Activations on disk, as {@link CaptureFileWriter} writes them: the rows committed when it was opened, also where the
 * writer is still at work or was killed. Every row is checked against its checksum when it is read.
 */
export class CaptureFile {
    readonly #native: NativeCaptureReader;

    /** The site of all rows, such as `"residual"`. */
    readonly site: string;
    /** The layers there are, ascending. */
    readonly layers: readonly number[];
    /** Elements in a row. */
    readonly width: number;
    /** How the elements are stored. */
    readonly type: "f32" | "f16";
    /** Rows of each layer. */
    readonly rows: number;
    /** Whether the writer was closed. */
    readonly complete: boolean;
    /** What the writer was given as `metadata`. */
    readonly metadata: Readonly<Record<string, string>>;
    /** [rows] each. */
    readonly labels: CaptureFileLabels;

    /**
     * Opens a directory of shards and checks all headers and labels.
     *
     * @param options.recover where a power failure damaged rows of the shard that was being written, take those before
     * the first damaged one. Reads that shard. Default false: damage is refused.
     * @throws SteerError FILE_NOT_FOUND, FILE_UNREADABLE, DATA_DAMAGED, INVALID_ARGUMENT
     */
    static async open(directory: string, options: { recover?: boolean } = {}): Promise<CaptureFile> {
        checkString(directory, "directory");
        checkObject(options, "options");
        const { recover = false } = options;
        checkBoolean(recover, "recover");
        return new CaptureFile(await runTask(() => native.openCaptureReader(directory, recover)));
    }

    /** @internal The file, for native consumers. */
    static nativeOf(file: CaptureFile): NativeCaptureReader {
        return file.#native;
    }

    private constructor(reader: NativeCaptureReader) {
        const { site, layers, width, type, rows, complete, metadata } = reader.describe();
        this.#native = reader;
        this.site = site;
        this.layers = layers;
        this.width = width;
        this.type = type;
        this.rows = rows;
        this.complete = complete;
        this.metadata = Object.fromEntries(pairs(metadata));
        this.labels = reader.labels();
    }

    /**
     * Reads rows as float32, [layers][to - from][width], into shared memory or the memory given. Halves become floats
     * exactly.
     *
     * @throws SteerError DATA_DAMAGED (the message names shard, layer and row), FILE_UNREADABLE, LAYER_OUT_OF_RANGE,
     * INVALID_ARGUMENT, BUFFER_TOO_SMALL, BUFFER_DETACHED, BUFFER_IN_USE, OUT_OF_MEMORY, ABORTED, DISPOSED
     */
    async read(options: CaptureFileReadOptions = {}): Promise<Activations> {
        checkObject(options, "options");
        const { layers = "all", from = 0, to = this.rows, into, signal } = options;
        const selected = selectLayers(layers, this.layers);
        checkRange(from, to, this.rows);
        const count = to - from;
        const floats = selected.length * count * this.width;
        const memory = into === undefined ? sharedElements("f32", floats) : beginOfElements(into, "f32", floats);
        const slots = Int32Array.from(selected, (layer) => this.layers.indexOf(layer));
        lease(memory);
        try {
            await runTask(() => this.#native.read(slots, from, count, memory), signal);
        } finally {
            release(memory);
        }
        const { sequence, position, token } = this.labels;
        const labels = {
            sequence: sequence.slice(from, to),
            position: position.slice(from, to),
            token: token.slice(from, to),
        };
        return new Activations(this.site, selected, this.width, count, memory, Array(selected.length).fill(labels));
    }

    /**
     * Checks every byte of the rows, their labels and the headers.
     *
     * @param options.onProgress called with the fraction done, after each shard
     * @throws SteerError DATA_DAMAGED, FILE_UNREADABLE, ABORTED, DISPOSED
     */
    async verify(options: { onProgress?: (fraction: number) => void; signal?: AbortSignal } = {}): Promise<void> {
        checkObject(options, "options");
        await runTask(() => this.#native.verify(options.onProgress), options.signal);
    }

    /** Closes the files; what is being read still is. Calling it again does nothing. */
    dispose(): void {
        this.#native.dispose();
    }

    /** {@link dispose}. */
    [Symbol.dispose](): void {
        this.dispose();
    }
}

function* pairs(list: readonly string[]): Generator<[string, string]> {
    for (let i = 0; i < list.length; i += 2) {
        yield [list[i] as string, list[i + 1] as string];
    }
}

/** @internal Checks that from and to say which rows of a file. */
export function checkRange(from: unknown, to: unknown, rows: number): void {
    const whole = Number.isInteger(from) && Number.isInteger(to);
    if (!whole || (from as number) < 0 || (to as number) < (from as number) || (to as number) > rows) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `from and to must be whole numbers with 0 <= from <= to <= ${rows} rows, not ${describe(from)} and ${describe(to)}`,
        );
    }
}
