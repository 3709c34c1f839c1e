import { basename } from "node:path";
import type { Command } from "commander";
import { type Logger, pino } from "pino";
import { type Context, type Model, SteerError, type SteeringVector, steerAsSaved } from "../index.js";
import { type RequestSteering, type RunningServer, Scheduler, type ServeOptions, serve } from "../server/index.js";
import { type CommandRun, command, runs } from "./command.js";
import { UsageError } from "./failure.js";
import {
    type ModelOptions,
    openModel,
    openVector,
    type VectorOptions,
    withModelOptions,
    withVectorOptions,
} from "./model-options.js";
import { gathered, number, text, whole } from "./option-values.js";

interface ServerOptions extends ModelOptions, VectorOptions {
    name?: string;
    vector?: string[];
    fixedVector?: string;
    host: string;
    port: number;
    keyEnv?: string;
    sequences: number;
    contextSize?: number;
    promptBudget: number;
    maxStrength?: number;
    uploads?: true;
    logPrompts?: true;
    grace: number;
}

const largestDefaultContext = 8192;
const mostSequences = 256;
/** Few enough that answers are not held up, enough that prompts are quick. */
const defaultPromptBudget = 128;

export function addServe(program: Command): void {
    const target = command(program, "serve", "serve a model over HTTP, each request steered in its own way", [
        "llama-steer serve --model model.gguf --vector open=vector.gguf",
        "llama-steer serve --model model.gguf --fixed-vector vector.gguf --port 0 --json",
        "llama-steer serve --model model.gguf --host 0.0.0.0 --key-env API_KEYS",
    ]);
    withVectorOptions(
        withModelOptions(target)
            .option("--vector <name=file...>", "vectors that requests may steer with, by name", gathered)
            .option("--fixed-vector <file>", "a vector that steers every answer, as its file says", text),
    )
        .option("--name <text>", "the model's name in the API (default: its file's)", text)
        .option("--host <address>", "where to listen; one that others can reach needs keys", text, "127.0.0.1")
        .option("--port <n>", "0: any that is free", whole(0, 65535), 8080)
        .option("--key-env <name>", "the variable that holds the API keys, with spaces between", text)
        .option("--sequences <n>", "answers at once", whole(1, mostSequences), 8)
        .option("--context-size <n>", "tokens of a request (default: as trained, up to 8192)", whole(2, 1 << 30))
        .option(
            "--prompt-budget <n>",
            "prompt tokens per pass; fewer bring first tokens sooner where prompts are long",
            whole(1, 1 << 16),
            defaultPromptBudget,
        )
        .option("--max-strength <x>", "of a request's steering, either way (default: 4)", number(0))
        .option("--uploads", "let clients upload vectors, and delete those")
        .option("--log-prompts", "log the text of prompts and answers, up to 4096 characters of each")
        .option("--grace <seconds>", "for answers under way, once it is to end", whole(0, 86_400), 30);
    runs<ServerOptions>(target, async (run, options) => {
        const vectors = namedFiles(options.vector ?? []);
        if (options.logPrompts && run.output.quiet) {
            throw new UsageError("--log-prompts writes to the log that --quiet leaves out: choose one of them");
        }
        const own = { keys: keysOf(options), limits: limitsOf(options) };
        await using model = await openModel(run, options.model, options.gpuLayers);
        await using context = await openContext(run, model, options);
        const log = pino({ level: run.output.quiet ? "error" : "info" }, process.stderr);
        await using scheduler = new Scheduler(context, { concurrency: options.sequences });
        const server = await listen({
            ...own,
            ...(await steeringOf(vectors, context, options)),
            scheduler,
            model: options.name ?? basename(options.model, ".gguf"),
            host: options.host,
            port: options.port,
            uploads: options.uploads === true,
            logPrompts: options.logPrompts === true,
            log,
        });
        await untilClosed(run, server, log, options);
    });
}

/** @throws UsageError for what is not NAME=FILE, and for a name that comes twice */
function namedFiles(values: readonly string[]): Map<string, string> {
    const files = new Map<string, string>();
    for (const value of values) {
        const [, name, path] = /^([A-Za-z0-9][\w.-]{0,63})=(.+)$/s.exec(value) ?? [];
        if (name === undefined || path === undefined) {
            throw new UsageError(
                `--vector takes NAME=FILE, with a name of up to 64 letters, digits, dots, dashes and underscores, not ${value}`,
            );
        }
        if (files.has(name)) {
            throw new UsageError(`--vector names ${name} twice: give each vector a name of its own`);
        }
        files.set(name, path);
    }
    return files;
}

/** Keys come from the environment: a command line is seen by every user of the machine. @throws UsageError */
function keysOf({ keyEnv }: ServerOptions): string[] {
    if (keyEnv === undefined) {
        return [];
    }
    const keys = (process.env[keyEnv] ?? "").split(/\s+/).filter((key) => key !== "");
    if (keys.length === 0) {
        throw new UsageError(`--key-env names ${keyEnv}, which holds no key in the environment: export it first`);
    }
    return keys;
}

/** @throws UsageError */
function limitsOf({ maxStrength }: ServerOptions): NonNullable<ServeOptions["limits"]> {
    if (maxStrength === 0) {
        throw new UsageError("--max-strength must be above 0: without --vector, no request can steer");
    }
    return maxStrength === undefined ? {} : { strength: maxStrength };
}

function openContext(run: CommandRun, model: Model, options: ServerOptions): Promise<Context> {
    const { sequences, threads, contextSize = Math.min(model.info.trainingContext, largestDefaultContext) } = options;
    // Sequences beyond those that answer keep the beginnings of prompts; they get no memory of their own.
    return model.createContext({
        sequences: Math.min(mostSequences, sequences + Math.ceil(sequences / 2)),
        memoryTokens: sequences * contextSize,
        contextSize,
        promptBudget: options.promptBudget,
        signal: run.signal,
        ...(threads === undefined ? {} : { threads }),
    });
}

/** @throws SteerError as loadVector and steerAsSaved */
async function steeringOf(
    files: ReadonlyMap<string, string>,
    context: Context,
    options: ServerOptions,
): Promise<Pick<ServeOptions, "vectors" | "fixed">> {
    const open = async (path: string): Promise<SteeringVector> => {
        const vector = await openVector(path, context.model, options.model, options);
        // What cannot steer is told now, and not to every request.
        await using sequence = context.sequence();
        steerAsSaved(sequence, vector);
        return vector;
    };
    const vectors: Record<string, SteeringVector> = {};
    for (const [name, path] of files) {
        vectors[name] = await open(path);
    }
    return options.fixedVector === undefined
        ? { vectors }
        : { vectors, fixed: savedSteering(await open(options.fixedVector)) };
}

function savedSteering(vector: SteeringVector): RequestSteering {
    return {
        key: "fixed",
        apply: (sequence) => {
            steerAsSaved(sequence, vector);
        },
    };
}

const addressFaults: Record<string, string> = {
    EADDRINUSE: "another program listens there: give another --port, or 0 for any that is free",
    EACCES: "this user may not listen there: give a --port of 1024 or more",
    EADDRNOTAVAIL: "this machine has no such address: give another --host",
    ENOTFOUND: "there is no such address: give another --host",
};

/** @throws UsageError for what the server does not take, SteerError INVALID_ARGUMENT where it cannot listen */
async function listen(options: ServeOptions): Promise<RunningServer> {
    try {
        return await serve(options);
    } catch (error) {
        if (error instanceof SteerError && error.code === "INVALID_ARGUMENT") {
            throw new UsageError(error.message.replace("give keys", "give keys by --key-env"), { cause: error });
        }
        const fault = addressFaults[(error as NodeJS.ErrnoException).code ?? ""];
        if (fault === undefined) {
            throw error;
        }
        throw new SteerError("INVALID_ARGUMENT", `${options.host}, port ${options.port}: ${fault}`, { cause: error });
    }
}

/** Says where the server is, waits for Ctrl-C or SIGTERM, and closes it within the grace period. */
async function untilClosed(
    run: CommandRun,
    server: RunningServer,
    log: Logger,
    { grace }: ServerOptions,
): Promise<void> {
    // A Ctrl-C until now left nothing to finish; from here on it is no failure.
    if (run.signal.aborted) {
        await server.close();
        run.signal.throwIfAborted();
    }
    // One listener goes when the other is there, or a signal could be lost between.
    const stop = firstStop();
    run.interrupt.end();
    const { url } = server;
    run.output.result({ url }, () => [url]);
    log.info({ url }, "listening");
    log.info({ signal: await stop, graceSeconds: grace }, "closing; a second signal ends at once");
    const unfinished = await server.close({ graceMilliseconds: 1000 * grace });
    log.info({ unfinished: unfinished.length }, "closed");
}

/** The first Ctrl-C or SIGTERM. The next one ends the process as if nobody had listened. */
function firstStop(): Promise<NodeJS.Signals> {
    const signals = ["SIGINT", "SIGTERM"] as const;
    return new Promise((resolve) => {
        const onStop = (signal: NodeJS.Signals): void => {
            for (const each of signals) {
                process.off(each, onStop);
            }
            resolve(signal);
        };
        for (const each of signals) {
            process.on(each, onStop);
        }
    });
}
