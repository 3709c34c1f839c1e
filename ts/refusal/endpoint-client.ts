import OpenAI from "openai";
import { z } from "zod";
import type { SteerError, SteerErrorCode } from "../index.js";
import { pause, retryAfter, type Trouble, troubleOf } from "./endpoint-troubles.js";
import type { RefusalEvent } from "./events.js";
import { failure, throwIfAborted } from "./parse.js";

/** Where an OpenAI-compatible API is, and how patiently it is asked. */
export interface EndpointOptions {
    /** Of the API, such as `"http://localhost:8080/v1"`. */
    baseUrl: string;
    /** The model's name there. */
    model: string;
    /** Default: the environment's `OPENAI_API_KEY`, or none. */
    apiKey?: string | undefined;
    /** Requests at a time. */
    concurrency?: number | undefined;
    /** How often a reply is asked for again, whatever was wrong. Default 5. */
    retries?: number | undefined;
    /** Of one request with all of its reply. */
    timeoutMilliseconds?: number | undefined;
    /** Before the first retry; doubles with each, up to a minute, unless the server says how long. Default 500. */
    backoffMilliseconds?: number | undefined;
}

/** What {@link EndpointOptions} must be, with the defaults that depend on what is asked for. */
export const endpointFields = (concurrency: number, timeoutMilliseconds: number) => ({
    baseUrl: z.url({ protocol: /^https?$/ }),
    model: z.string().min(1),
    apiKey: z.string().optional(),
    concurrency: z.int().min(1).max(256).default(concurrency),
    retries: z.int().min(0).max(100).default(5),
    timeoutMilliseconds: z.number().positive().default(timeoutMilliseconds),
    backoffMilliseconds: z.number().min(0).default(500),
});
export type EndpointSettings = z.output<z.ZodObject<ReturnType<typeof endpointFields>>>;

/** What requests to an endpoint have come to. */
export interface EndpointCounts {
    requests: number;
    /** Replies that did not hold what was asked for. */
    malformed: number;
    /** Requests without a usable reply: refused, timed out, limited, or the server's error. */
    failed: number;
}

/** What an endpoint is for, in the words of its error. */
export interface EndpointRole {
    code: SteerErrorCode;
    /** Such as `"the judge"`. */
    who: string;
    /** Such as `"verdict"`. */
    what: string;
}

export type ChatRequest = OpenAI.ChatCompletionCreateParamsNonStreaming;

/** What one request brought. */
export type Outcome<Value> = { value: Value } | Trouble;

/** What a reply holds; a text says why it does not hold what was asked for. */
export type ReadReply<Value> = (reply: OpenAI.ChatCompletion) => { value: Value } | string;

export interface AskOptions {
    signal?: AbortSignal | undefined;
    onEvent?: ((event: RefusalEvent) => void) | undefined;
}

/**
 * Asks an OpenAI-compatible chat endpoint, so many requests at a time, and again where a reply is not what was asked for: it
 * is counted and never guessed.
 */
export class EndpointClient {
    readonly counts: EndpointCounts = { requests: 0, malformed: 0, failed: 0 };
    readonly #client: OpenAI;
    readonly #settings: EndpointSettings;
    readonly #role: EndpointRole;

    constructor(settings: EndpointSettings, role: EndpointRole) {
        const { baseUrl, apiKey, timeoutMilliseconds } = settings;
        this.#settings = settings;
        this.#role = role;
        // Retries are counted and reported here, so the client makes none. Servers at home want no key, but the client does.
        this.#client = new OpenAI({
            baseURL: baseUrl,
            apiKey: apiKey ?? process.env.OPENAI_API_KEY ?? "none",
            maxRetries: 0,
            timeout: timeoutMilliseconds,
        });
    }

    /**
     * Calls `ask` for 0 .. count-1, several at a time. When one fails, nothing new is begun; what is under way may still be
     * finished, and then the error comes.
     */
    async each(count: number, ask: (index: number) => Promise<void>): Promise<void> {
        let next = 0;
        const work = async (): Promise<void> => {
            while (next < count) {
                try {
                    await ask(next++);
                } catch (error) {
                    next = count;
                    throw error;
                }
            }
        };
        const workers = Array.from({ length: Math.min(this.#settings.concurrency, count) }, work);
        const failed = (await Promise.allSettled(workers)).find((each) => each.status === "rejected");
        if (failed !== undefined) {
            throw failed.reason;
        }
    }

    /**
     * Asks until there is a value, or the retries are spent.
     *
     * @throws SteerError the role's code, ABORTED
     */
    async persist<Value>(ask: () => Promise<Outcome<Value>>, { signal, onEvent }: AskOptions): Promise<Value> {
        for (let attempt = 1; ; attempt++) {
            throwIfAborted(signal);
            const result = await ask();
            if ("value" in result) {
                return result.value;
            }
            throwIfAborted(signal);
            if (!result.again || attempt > this.#settings.retries) {
                throw this.#spent(result, attempt);
            }
            const waitMilliseconds = this.#wait(result, attempt);
            const { reason, message } = result;
            onEvent?.({ type: "retry", reason, attempt, waitMilliseconds, message });
            await pause(waitMilliseconds, signal);
        }
    }

    /** One request; what `read` throws is passed on. */
    async once<Value>(
        request: ChatRequest,
        read: ReadReply<Value>,
        signal: AbortSignal | undefined,
    ): Promise<Outcome<Value>> {
        const sent = await this.#send(request, signal);
        if (!("reply" in sent)) {
            return sent;
        }
        const result = read(sent.reply);
        if (typeof result !== "string") {
            return result;
        }
        this.counts.malformed++;
        return { reason: "malformed", again: true, message: result, cause: undefined };
    }

    async #send(
        request: ChatRequest,
        signal: AbortSignal | undefined,
    ): Promise<{ reply: OpenAI.ChatCompletion } | Trouble> {
        this.counts.requests++;
        // The client's own limit ends when the reply begins; a reply may also never end.
        const limit = AbortSignal.timeout(this.#settings.timeoutMilliseconds);
        try {
            const reply: unknown = await this.#client.chat.completions.create(request, {
                signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
            });
            // A page or a text in place of an object: what is lacking is told where it is read.
            return { reply: (typeof reply === "object" && reply !== null ? reply : {}) as OpenAI.ChatCompletion };
        } catch (error) {
            this.counts.failed++;
            return troubleOf(error, limit.aborted ? this.#settings.timeoutMilliseconds : undefined);
        }
    }

    /** Spread, so that requests that were turned away together do not come back together. */
    #wait(trouble: Trouble, attempt: number): number {
        const grown = Math.min(60_000, this.#settings.backoffMilliseconds * 2 ** (attempt - 1));
        return Math.round(retryAfter(trouble.cause) ?? grown * (0.75 + Math.random() / 2));
    }

    #spent({ message, cause, again }: Trouble, attempts: number): SteerError {
        const { model, baseUrl } = this.#settings;
        const { code, who, what } = this.#role;
        const { requests, malformed, failed } = this.counts;
        const tries = again ? ` after ${attempts} attempts` : "";
        const plural = `${what.charAt(0).toUpperCase()}${what.slice(1)}s`;
        return failure(
            code,
            `${who} ${model} at ${baseUrl} gives no ${what}${tries}: ${message} (of ${requests} requests, ${malformed} ` +
                `were malformed and ${failed} failed). ${plural} that were finished are kept`,
            cause,
        );
    }
}
