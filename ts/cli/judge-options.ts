import type { Command } from "commander";
import { EndpointJudge, type Judge, LocalJudge } from "../refusal/index.js";
import { isUrl, keyFrom, milliseconds } from "./endpoint-options.js";
import { UsageError } from "./failure.js";
import { number, text, whole } from "./option-values.js";

/** Options about who judges. */
export interface JudgeOptions {
    judge: string;
    judgeModel?: string;
    judgePrompt?: string;
    judgeKeyEnv?: string;
    judgeConcurrency?: number;
    judgeRetries?: number;
    judgeTimeout?: number;
    gpuLayers?: number | "all";
    threads?: number;
}

/** A judge that is to be given back. */
export type OpenJudge = Judge & AsyncDisposable;

export function withJudgeOptions(target: Command): Command {
    return target
        .requiredOption("--judge <gguf|url>", "who judges: a GGUF file, or the URL of an OpenAI-compatible API", text)
        .option("--judge-model <name>", "of a URL: the model's name there", text)
        .option("--judge-prompt <file>", "what the judge is told, with {question} and {answer} in it", text)
        .option("--judge-key-env <name>", "of a URL: the variable that holds its key (default: OPENAI_API_KEY)", text)
        .option("--judge-concurrency <n>", "of a URL: requests at a time (default: 4)", whole(1, 256))
        .option("--judge-retries <n>", "of a URL: how often a verdict is asked for again (default: 5)", whole(0, 100))
        .option("--judge-timeout <seconds>", "of a URL: for one request (default: 60)", number(0.001));
}

/** What only one kind of judge takes, by the name on the command line. */
const ofEndpoints = {
    judgeModel: "--judge-model",
    judgeKeyEnv: "--judge-key-env",
    judgeConcurrency: "--judge-concurrency",
    judgeRetries: "--judge-retries",
    judgeTimeout: "--judge-timeout",
} as const;

/** @throws UsageError where options do not go together */
export function checkJudgeOptions(options: JudgeOptions): void {
    if (!isUrl(options.judge)) {
        for (const [property, flag] of Object.entries(ofEndpoints)) {
            if (options[property as keyof typeof ofEndpoints] !== undefined) {
                throw new UsageError(`${flag} is for a judge at a URL, and --judge is the file ${options.judge}`);
            }
        }
    } else if (options.judgeModel === undefined) {
        throw new UsageError("--judge is a URL: say which model there judges, by --judge-model");
    }
    keyOf(options);
}

/** @throws UsageError, SteerError as the judges' `open` */
export async function openJudge(options: JudgeOptions): Promise<OpenJudge> {
    checkJudgeOptions(options);
    const { judge, judgePrompt, threads, gpuLayers } = options;
    return isUrl(judge) ? openEndpoint(options) : LocalJudge.open(judge, { template: judgePrompt, threads, gpuLayers });
}

async function openEndpoint(options: JudgeOptions): Promise<OpenJudge> {
    const { judge, judgeModel = "", judgePrompt, judgeConcurrency, judgeRetries, judgeTimeout } = options;
    const endpoint = await EndpointJudge.open({
        baseUrl: judge,
        model: judgeModel,
        apiKey: keyOf(options),
        template: judgePrompt,
        concurrency: judgeConcurrency,
        retries: judgeRetries,
        timeoutMilliseconds: milliseconds(judgeTimeout),
    });
    return Object.assign(endpoint, { [Symbol.asyncDispose]: async () => {} });
}

const keyOf = ({ judgeKeyEnv }: JudgeOptions): string | undefined => keyFrom(judgeKeyEnv, ofEndpoints.judgeKeyEnv);
