import type { Command } from "commander";
import { EndpointAnswerer } from "../refusal/index.js";
import { isUrl, keyFrom, milliseconds } from "./endpoint-options.js";
import { UsageError } from "./failure.js";
import { number, text, whole } from "./option-values.js";

/** Options about who gives the unsteered answers. */
export interface AnswererOptions {
    answers?: string;
    answersModel?: string;
    answersKeyEnv?: string;
    answersConcurrency?: number;
    answersRetries?: number;
    answersTimeout?: number;
    answersTolerance?: number;
}

export function withAnswererOptions(target: Command): Command {
    return target
        .option(
            "--answers <url>",
            "of an OpenAI-compatible API: gives the unsteered answers (default: the model)",
            text,
        )
        .option("--answers-model <name>", "the model's name there: the same as --model", text)
        .option("--answers-key-env <name>", "the variable that holds its key (default: OPENAI_API_KEY)", text)
        .option("--answers-concurrency <n>", "requests at a time (default: 32)", whole(1, 256))
        .option("--answers-retries <n>", "how often an answer is asked for again (default: 5)", whole(0, 100))
        .option("--answers-timeout <seconds>", "for one request (default: 300)", number(0.001))
        .option(
            "--answers-tolerance <nats>",
            "how far log-probabilities of a token may differ from the model's (default: 0.25)",
            number(0.001),
        );
}

/** What is for an endpoint alone, by the name on the command line. */
const ofEndpoint = {
    answersModel: "--answers-model",
    answersKeyEnv: "--answers-key-env",
    answersConcurrency: "--answers-concurrency",
    answersRetries: "--answers-retries",
    answersTimeout: "--answers-timeout",
    answersTolerance: "--answers-tolerance",
} as const;

/**
 * Who gives the unsteered answers; undefined: the model itself.
 *
 * @throws UsageError where options do not go together; SteerError INVALID_ARGUMENT
 */
export function answererOf(options: AnswererOptions): EndpointAnswerer | undefined {
    const { answers, answersModel, answersConcurrency, answersRetries, answersTimeout, answersTolerance } = options;
    if (answers === undefined) {
        for (const [property, flag] of Object.entries(ofEndpoint)) {
            if (options[property as keyof typeof ofEndpoint] !== undefined) {
                throw new UsageError(`${flag} is for answers from a URL: say which, by --answers`);
            }
        }
        return undefined;
    }
    if (!isUrl(answers)) {
        throw new UsageError(`--answers is ${answers}: it must be the URL of an API, such as http://localhost:8000/v1`);
    }
    if (answersModel === undefined) {
        throw new UsageError("--answers is a URL: say which model there answers, by --answers-model");
    }
    return new EndpointAnswerer({
        baseUrl: answers,
        model: answersModel,
        apiKey: keyFrom(options.answersKeyEnv, ofEndpoint.answersKeyEnv),
        concurrency: answersConcurrency,
        retries: answersRetries,
        timeoutMilliseconds: milliseconds(answersTimeout),
        tolerance: answersTolerance,
    });
}
