import { availableParallelism } from "node:os";
import type { Activations } from "./activations.js";
import { CaptureFile } from "./capture-file.js";
import type { CaptureOptions } from "./capture-request.js";
import { checkCount, checkObject, checkSignal, checkString } from "./check.js";
import type { Context, ContextOptions } from "./context.js";
import { type Batch, fillBatches } from "./dataset-batches.js";
import { type DatasetPlan, type DatasetPrompt, datasetPlan } from "./dataset-plan.js";
import { type DatasetSink, FileSink, MemorySink } from "./dataset-sinks.js";
import type { Model } from "./model.js";
import { abortError } from "./run-task.js";
import { sharedBeginning } from "./shared-beginning.js";
import type { TokenSelection } from "./token-selection.js";

/** How far a data set is. */
export interface DatasetProgress {
    /** Prompts done, those of an earlier run included. */
    done: number;
    total: number;
    /** Tokens evaluated in this run; a beginning that all prompts share counts for none of them. */
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
 * Activations of many prompts, evaluated in full batches whatever their lengths, what all begin with only once for each
 * sequence. In prompt order: `labels(layer).sequence`
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
    const plan = await datasetPlan(model, prompts, options);
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

async function run(
    model: Model,
    plan: DatasetPlan,
    options: CaptureDatasetOptions,
    sink: DatasetSink,
    done: ReadonlySet<number>,
): Promise<void> {
    const { tokens } = plan;
    const { batchSize = 512, signal, onProgress } = options;
    checkCount(batchSize, "batchSize");
    const left = tokens.filter((_, i) => !done.has(i));
    const longest = left.reduce((most, each) => Math.max(most, each.length), 1);
    const size = Math.max(batchSize, longest);
    // One memory for all makes each token look at the cells of all, but keeps unequal lengths in one pass over the
    // weights: that pays on a device. Memories of their own are kept few, since each has room for the longest prompt.
    const unified = model.onDevice;
    const sequences = unified ? maxSequences : Math.min(maxSequences, Math.max(1, Math.floor((8 * size) / longest)));
    // A recurrent memory cannot go back to where the prompts part.
    const alone = model.info.recurrent || left.length <= sequences;
    const beginning = alone ? new Int32Array(0) : sharedBeginning(left, plan.rows);
    const lengths = tokens.map((each, i) => (done.has(i) ? undefined : each.length - beginning.length));
    const batches = fillBatches(lengths, size, sequences, !unified || model.info.recurrent);
    const progress = { done: done.size, total: tokens.length, tokens: 0, occupancy: 0 };
    onProgress?.({ ...progress });
    if (batches.length === 0) {
        return;
    }

    let passes = 0;
    const work = async (context: Context): Promise<void> => {
        const evaluate = await batchEvaluator(context, plan, beginning, signal);
        for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
            const rows = await evaluate(batch);
            await sink.add(rows, promptsOf(rows, batch));
            progress.done += batch.length;
            progress.tokens += batch.reduce((sum, prompt) => sum + (lengths[prompt] as number), 0);
            progress.occupancy = progress.tokens / ++passes / size;
            onProgress?.({ ...progress });
        }
    };
    const memory = {
        contextSize: longest,
        unifiedMemory: unified,
        ...(unified ? { memoryTokens: size + sequences * beginning.length } : {}),
    };
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

/**
 * Evaluates batches in one context; the rows are valid until the next. What all prompts begin with is computed now, once
 * for each sequence.
 */
async function batchEvaluator(
    context: Context,
    { site, layers, type, rows, tokens }: DatasetPlan,
    beginning: Int32Array,
    signal: AbortSignal | undefined,
): Promise<(batch: Batch) => Promise<Activations>> {
    const options = signal === undefined ? {} : { signal };
    const sequences = Array.from({ length: context.options.sequences }, () => context.sequence());
    if (beginning.length > 0) {
        const entries = sequences.map((sequence) => ({ sequence, tokens: beginning, kind: "prompt-part" }) as const);
        await context.evaluate(entries, options);
    }
    const capture = context.capture({ site, layers, type, rows });
    return async (batch) => {
        const used = sequences.slice(0, batch.length);
        const entries = used.map((sequence, i) => ({
            sequence,
            tokens: (tokens[batch[i] as number] as Int32Array).subarray(beginning.length),
        }));
        await context.evaluate(entries, options);
        // Done before the next evaluation, which comes later: nobody needs to wait for it.
        for (const sequence of used) {
            void sequence.truncate(beginning.length);
        }
        return capture;
    };
}

/** The prompt of each row: sequences are numbered as they were claimed. */
function promptsOf(rows: Activations, batch: Batch): Int32Array {
    return rows.labels(rows.layers[0] as number).sequence.map((sequence) => batch[sequence] as number);
}
