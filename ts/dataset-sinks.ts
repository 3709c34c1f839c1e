import { createHash } from "node:crypto";
import { Activations, type RowLabels } from "./activations.js";
import { CaptureFile } from "./capture-file.js";
import { CaptureFileWriter } from "./capture-file-writer.js";
import type { DatasetPlan } from "./dataset-plan.js";
import type { Model } from "./model.js";

/** Takes the rows of prompts as they are done. */
export interface DatasetSink {
    /** `prompts` [rows]: which prompt each row is of. */
    add(rows: Activations, prompts: Int32Array): Promise<void>;
}

/** The rows of one batch. */
interface Part {
    /** By layer, [rows][width]. */
    rows: (Float32Array | Uint16Array)[];
    labels: RowLabels;
    prompts: Int32Array;
}

/** Keeps all rows in memory. */
export class MemorySink implements DatasetSink {
    readonly #parts: Part[] = [];
    readonly #plan: DatasetPlan;

    constructor(plan: DatasetPlan) {
        this.#plan = plan;
    }

    async add(rows: Activations, prompts: Int32Array): Promise<void> {
        this.#parts.push({
            rows: rows.layers.map((layer) => rows.raw(layer).slice()),
            labels: rows.labels(rows.layers[0] as number),
            prompts,
        });
    }

    /** All rows by prompt, then by position; the label `sequence` is the prompt's index. Call it once: parts are let go. */
    takeInPromptOrder(): Activations {
        const { site, layers, width, type } = this.#plan;
        const order = this.#parts.flatMap(({ labels, prompts }, part) =>
            Array.from(prompts, (prompt, row) => ({ prompt, position: labels.position[row] as number, part, row })),
        );
        order.sort((a, b) => a.prompt - b.prompt || a.position - b.position);
        const elements = layers.length * order.length * width;
        const data = type === "f32" ? new Float32Array(elements) : new Uint16Array(elements);
        for (const slot of layers.keys()) {
            for (const [i, { part, row }] of order.entries()) {
                const from = (this.#parts[part] as Part).rows[slot] as Float32Array;
                data.set(from.subarray(row * width, (row + 1) * width), (slot * order.length + i) * width);
            }
        }
        const labels: RowLabels = {
            sequence: Int32Array.from(order, ({ prompt }) => prompt),
            position: Int32Array.from(order, ({ position }) => position),
            token: Int32Array.from(order, ({ part, row }) => (this.#parts[part] as Part).labels.token[row] as number),
        };
        this.#parts.length = 0;
        return new Activations(site, layers, width, order.length, data, Array(layers.length).fill(labels));
    }
}

/** Writes rows to a directory, and knows what an earlier run wrote there. */
export class FileSink implements DatasetSink {
    readonly #writer: CaptureFileWriter;
    /** Prompts that are in the file already: all their rows, since those of a batch are appended together. */
    readonly done: ReadonlySet<number>;

    private constructor(writer: CaptureFileWriter, done: ReadonlySet<number>) {
        this.#writer = writer;
        this.done = done;
    }

    static async open(directory: string, model: Model, plan: DatasetPlan): Promise<FileSink> {
        const { site, layers, width, type, rows, tokens } = plan;
        const { architecture, description, parameters } = model.info;
        const metadata = {
            architecture,
            model: description,
            parameters: String(parameters),
            rows: JSON.stringify(rows, (_, value: unknown) => (value instanceof Int32Array ? [...value] : value)),
            prompts: String(tokens.length),
            promptsSha256: fingerprint(tokens),
        };
        const writer = await CaptureFileWriter.open(directory, { site, layers, width, type, metadata, append: true });
        try {
            return new FileSink(writer, writer.rows === 0 ? new Set() : await promptsIn(directory));
        } catch (error) {
            await writer.close();
            throw error;
        }
    }

    add(rows: Activations, prompts: Int32Array): Promise<void> {
        return this.#writer.append(rows, { prompts });
    }

    close(): Promise<void> {
        return this.#writer.close();
    }
}

async function promptsIn(directory: string): Promise<Set<number>> {
    const file = await CaptureFile.open(directory);
    try {
        return new Set(file.labels.prompt);
    } finally {
        file.dispose();
    }
}

/** What tells one list of prompts from another. */
function fingerprint(tokens: readonly Int32Array[]): string {
    const hash = createHash("sha256");
    for (const each of tokens) {
        hash.update(Int32Array.of(each.length)).update(each);
    }
    return hash.digest("hex");
}
