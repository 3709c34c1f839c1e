import { availableParallelism } from "node:os";
import type { Activations, RowType } from "./activations.js";
import { CaptureFile } from "./capture-file.js";
import type { CaptureOptions } from "./capture-request.js";
import type { ChatMessage } from "./chat-template.js";
import { checkCount, checkObject, checkOneOf, checkSignal, checkString, describe } from "./check.js";
import type { Context, ContextOptions } from "./context.js";
import { type Batch, fillBatches } from "./dataset-batches.js";
import { type DatasetSink, FileSink, MemorySink } from "./dataset-sinks.js";
import { selectLayers } from "./layers.js";
import type { Model } from "./model.js";
import { abortError } from "./run-task.js";
import { siteNamed } from "./site.js";
import { SteerError } from "./steer-error.js";
import { compileSelection, type TokenSelection } from "./token-selection.js";

/** As {@link Model.encodePrompt} takes it: text as it is, messages through the chat template, or token ids. */
export type DatasetPrompt = string | readonly ChatMessage[] | Int32Array;

/** How far a data set is. */
export interface DatasetProgress {
    /** Prompts done, those of an earlier run included. */
    done: number;
    total: number;
    /** Tokens evaluated in this run. */
    tokens: number;
    /** Tokens of a forward pass over those it has room for, on the mean of this run: 1 is full. */
    occupancy: number;
}

export interface CaptureDatasetOptions extends Pick<CaptureOptions, "site" | "layers" | "type"> {
    /** Which tokens of each prompt. Default `"last-prompt"`. */
    rows?: TokenSelection;
    /**
     * A directory to write to as the prompts are done, as {@link CaptureFileWriter} does: memory stays small, and a run
     * that was killed or aborted goes on where it was when it is called again with the same model, prompts and options.
     */
    directory?: string;
    /** Tokens per forward pass. Default 512, or the longest prompt. */
    batchSize?: number;
    /**
     * Contexts that work side by side on the same weights. Default: 1 for a model on a device; else one for each core, up
     * to 8, which scales better than threads in one context, that wait for each other at every operation.
     */
    contexts?: number;
    /** Threads of each context. Default: the cores shared by the contexts. */
    threads?: number;
    onProgress?: (progress: DatasetProgress) => void;
    /** Stops between and inside forward passes. With `directory` what is done is kept. */
    signal?: AbortSignal;
}

const maxSequences = 64;

/**
 * Activations of many prompts, evaluated in full batches whatever their lengths, in prompt order: `labels(layer).sequence`
 * is the index of the prompt.
 *
 * @throws SteerError PROMPT_EMPTY and PROMPT_TOO_LONG (the message names the prompt), SITE_UNKNOWN, LAYER_OUT_OF_RANGE,
 *   WIDTH_MISMATCH, NO_ROW_SELECTED, CHAT_TEMPLATE_MISSING, OUT_OF_MEMORY, ABORTED, DISPOSED, INVALID_ARGUMENT
 */
export async function captureDataset(
    model: Model,
    prompts: readonly DatasetPrompt[],
    options?: CaptureDatasetOptions & { directory?: undefined },
): Promise<Activations>;
/**
 * The same to disk: rows in the order in which they were done, `labels.prompt` has their prompts.
 *
 * @throws SteerError also FILE_WRITE_FAILED, FILE_IN_USE, DATA_DAMAGED, INVALID_ARGUMENT (the directory holds something
 *   else)
 */
export async function captureDataset(
    model: Model,
    prompts: readonly DatasetPrompt[],
    options: CaptureDatasetOptions & { directory: string },
): Promise<CaptureFile>;
export async function captureDataset(
    model: Model,
    prompts: readonly DatasetPrompt[],
    options: CaptureDatasetOptions = {},
): Promise<Activations | CaptureFile> {
    checkObject(options, "options");
    checkSignal(options.signal);
    const { directory, signal } = options;
    if (signal?.aborted) {
        throw abortError(signal);
    }
    const plan = await planOf(model, prompts, options);
    if (directory === undefined) {
        const sink = new MemorySink(plan);
        await run(model, plan, options, sink, new Set());
        return sink.takeInPromptOrder();
    }
    checkString(directory, "directory");
    const sink = await FileSink.open(directory, model, plan);
    try {
        await run(model, plan, options, sink, sink.done);
    } finally {
        await sink.close();
    }
    return CaptureFile.open(directory);
}

/** What is to be captured, checked before anything is computed or written. */
interface Plan {
    site: string;
    layers: readonly number[];
    width: number;
    type: RowType;
    rows: TokenSelection;
    tokens: readonly Int32Array[];
}

async function planOf(model: Model, prompts: readonly DatasetPrompt[], options: CaptureDatasetOptions): Promise<Plan> {
    const { site = "residual", layers = "all", type = "f32", rows = "last-prompt" } = options;
    if (!Array.isArray(prompts) || prompts.length === 0) {
        throw new SteerError("INVALID_ARGUMENT", `prompts must be a list of at least one, not ${describe(prompts)}`);
    }
    checkOneOf(type, ["f32", "f16"], "type");
    compileSelection(rows, "rows", model.tokenizer);
    if (rows === "generated" || rows === "outputs") {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `prompts hold no tokens of rows "${rows}": choose "last-prompt" or others`,
        );
    }
    const found = siteNamed(await model.sites(), site);
    const selected = selectLayers(layers, found.layers);
    const tokens = prompts.map((prompt: DatasetPrompt, i) => {
        const encoded = model.encodePrompt(prompt);
        checkPrompt(encoded, i, rows, model.info.trainingContext);
        return encoded;
    });
    return {
        site,
        layers: selected,
        width: found.widths[found.layers.indexOf(selected[0] as number)] as number,
        type,
        // Chosen rows are the same at every layer; of "all" the last block would hold fewer.
        rows: rows === "all" ? "prompt" : rows,
        tokens,
    };
}

function checkPrompt(tokens: Int32Array, index: number, rows: TokenSelection, limit: number): void {
    if (tokens.length === 0) {
        throw new SteerError("PROMPT_EMPTY", `prompt ${index} has no tokens`);
    }
    if (tokens.length > limit) {
        const message = `prompt ${index} has ${tokens.length} tokens; the model was trained on ${limit} at most`;
        throw new SteerError("PROMPT_TOO_LONG", message);
    }
    if (typeof rows === "object" && "positions" in rows) {
        const missing = [rows.positions].flat().find((at) => at >= tokens.length || at < -tokens.length);
        if (missing !== undefined) {
            const message = `prompt ${index} has ${tokens.length} tokens, and so no position ${missing}`;
            throw new SteerError("NO_ROW_SELECTED", message);
        }
    }
}

async function run(
    model: Model,
    plan: Plan,
    options: CaptureDatasetOptions,
    sink: DatasetSink,
    done: ReadonlySet<number>,
): Promise<void> {
    const { tokens } = plan;
    const { batchSize = 512, signal, onProgress } = options;
    checkCount(batchSize, "batchSize");
    const longest = tokens.reduce((most, each) => Math.max(most, each.length), 0);
    const size = Math.max(batchSize, longest);
    const lengths = tokens.map((each, i) => (done.has(i) ? undefined : each.length));
    // One memory for all makes each token look at the cells of all, but keeps unequal lengths in one pass over the
    // weights: that pays on a device. Memories of their own are kept few, since each has room for the longest prompt.
    const unified = model.onDevice;
    const sequences = unified ? maxSequences : Math.min(maxSequences, Math.max(1, Math.floor((8 * size) / longest)));
    const batches = fillBatches(lengths, size, sequences, !unified || model.info.recurrent);
    const progress = { done: done.size, total: tokens.length, tokens: 0, occupancy: 0 };
    onProgress?.({ ...progress });
    if (batches.length === 0) {
        return;
    }

    let passes = 0;
    const work = async (context: Context): Promise<void> => {
        const evaluate = batchEvaluator(context, plan, signal);
        for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
            const rows = await evaluate(batch);
            await sink.add(rows, promptsOf(rows, batch));
            progress.done += batch.length;
            progress.tokens += batch.reduce((sum, prompt) => sum + (tokens[prompt] as Int32Array).length, 0);
            progress.occupancy = progress.tokens / ++passes / size;
            onProgress?.({ ...progress });
        }
    };
    const memory = { contextSize: longest, unifiedMemory: unified, ...(unified ? { memoryTokens: size } : {}) };
    const contexts = await openContexts(model, batches, { batchSize: size, ...memory }, options);
    try {
        await all(contexts.map(work), () => {
            batches.length = 0;
        });
    } finally {
        await Promise.all(contexts.map((context) => context.dispose()));
    }
}

/** Waits for all, also where one fails: then the others end what they are at, so that it is not lost. */
async function all(work: readonly Promise<void>[], onFailure: () => void): Promise<void> {
    for (const each of work) {
        each.catch(onFailure);
    }
    const failed = (await Promise.allSettled(work)).find((each) => each.status === "rejected");
    if (failed !== undefined) {
        throw failed.reason;
    }
}

/** Contexts that together have a thread for each core. */
async function openContexts(
    model: Model,
    batches: readonly Batch[],
    memory: ContextOptions,
    options: CaptureDatasetOptions,
): Promise<Context[]> {
    const cores = availableParallelism();
    const wanted = options.contexts ?? (model.onDevice ? 1 : Math.min(8, cores));
    checkCount(wanted, "contexts");
    const count = Math.max(1, Math.min(wanted, batches.length));
    const threads = options.threads ?? Math.max(1, Math.floor(cores / count));
    const sequences = batches.reduce((most, batch) => Math.max(most, batch.length), 1);
    const settings = { ...memory, sequences, threads };
    const opening = Array.from({ length: count }, () => model.createContext(settings));
    const opened = await Promise.allSettled(opening);
    const contexts = opened.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    const failed = opened.find((each) => each.status === "rejected");
    if (failed !== undefined) {
        await Promise.all(contexts.map((context) => context.dispose()));
        throw failed.reason;
    }
    return contexts;
}

/** Evaluates batches in one context; the rows are valid until the next. */
function batchEvaluator(
    context: Context,
    { site, layers, type, rows, tokens }: Plan,
    signal: AbortSignal | undefined,
): (batch: Batch) => Promise<Activations> {
    const capture = context.capture({ site, layers, type, rows });
    const sequences = Array.from({ length: context.options.sequences }, () => context.sequence());
    return async (batch) => {
        const used = sequences.slice(0, batch.length);
        const entries = used.map((sequence, i) => ({ sequence, tokens: tokens[batch[i] as number] as Int32Array }));
        await context.evaluate(entries, signal === undefined ? {} : { signal });
        // Done before the next evaluation, which comes later: nobody needs to wait for it.
        for (const sequence of used) {
            void sequence.clear();
        }
        return capture;
    };
}

/** The prompt of each row: sequences are numbered as they were claimed. */
function promptsOf(rows: Activations, batch: Batch): Int32Array {
    return rows.labels(rows.layers[0] as number).sequence.map((sequence) => batch[sequence] as number);
}
