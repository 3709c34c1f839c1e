import OpenAI from "openai";
import { z } from "zod";
import type { SteerError } from "../index.js";
import { contentKey } from "./content-key.js";
import { pause, retryAfter, type Trouble, troubleOf } from "./endpoint-troubles.js";
import type { Judge, JudgedText, JudgeOptions, Verdict } from "./judge.js";
import { JudgeTemplate, replyInstruction } from "./judge-template.js";
import { failure, parsed, throwIfAborted } from "./parse.js";
import { readVerdict, verdictFormat } from "./verdict-reply.js";

export interface EndpointJudgeOptions {
    /** Of the API, such as `"http://localhost:8080/v1"`. */
    baseUrl: string;
    /** The model's name there. */
    model: string;
    /** Default: the environment's `OPENAI_API_KEY`, or none. */
    apiKey?: string | undefined;
    /** A file with what the judge is told, `{question}` and `{answer}` in it. Default: this package's own. */
    template?: string | undefined;
    /** Requests at a time. Default 4. */
    concurrency?: number | undefined;
    /** How often a verdict is asked for again, whatever was wrong. Default 5. */
    retries?: number | undefined;
    /** Of one request with all of its reply. Default 60 000. */
    timeoutMilliseconds?: number | undefined;
    /** Before the first retry; doubles with each, up to a minute, unless the server says how long. Default 500. */
    backoffMilliseconds?: number | undefined;
    /**
     * Whether the server is asked to hold the reply to a JSON schema. `"auto"` (default): until it says that it does not
     * know how to.
     */
    structured?: "auto" | "always" | "never" | undefined;
}

const optionsSchema = z.object({
    baseUrl: z.url({ protocol: /^https?$/ }),
    model: z.string().min(1),
    apiKey: z.string().optional(),
    template: z.string().optional(),
    concurrency: z.int().min(1).max(256).default(4),
    retries: z.int().min(0).max(100).default(5),
    timeoutMilliseconds: z.number().positive().default(60_000),
    backoffMilliseconds: z.number().min(0).default(500),
    structured: z.enum(["auto", "always", "never"]).default("auto"),
});
type Settings = z.output<typeof optionsSchema>;

/** What requests to a judge have come to. */
export interface EndpointCounts {
    requests: number;
    /** Replies that held no verdict. */
    malformed: number;
    /** Requests without a usable reply: refused, timed out, limited, or the server's error. */
    failed: number;
}

/**
 * A judge behind an OpenAI-compatible chat endpoint. It replies with JSON that is checked; what is no verdict is asked for
 * again and never guessed. When the retries of one verdict are spent, the requests under way are waited for, reported,
 * and then the error comes.
 */
export class EndpointJudge implements Judge {
    readonly id: string;
    readonly counts: EndpointCounts = { requests: 0, malformed: 0, failed: 0 };
    readonly #client: OpenAI;
    readonly #settings: Settings;
    readonly #template: JudgeTemplate;
    readonly #system: string;
    #structured: boolean;

    private constructor(settings: Settings, template: JudgeTemplate, system: string) {
        const { baseUrl, model, apiKey } = settings;
        this.#settings = settings;
        this.#template = template;
        this.#system = system;
        this.#structured = settings.structured !== "never";
        this.id = contentKey("endpoint judge", baseUrl, model, template.source, system);
        // Retries are counted and reported here, so the client makes none. Servers at home want no key, but the client does.
        this.#client = new OpenAI({
            baseURL: baseUrl,
            apiKey: apiKey ?? process.env.OPENAI_API_KEY ?? "none",
            maxRetries: 0,
            timeout: settings.timeoutMilliseconds,
        });
    }

    /** @throws SteerError INVALID_ARGUMENT, FILE_NOT_FOUND, FILE_UNREADABLE */
    static async open(options: EndpointJudgeOptions): Promise<EndpointJudge> {
        const settings = parsed(optionsSchema, options, "options");
        const own = settings.template === undefined;
        const template = own
            ? await JudgeTemplate.packaged("json")
            : await JudgeTemplate.read(settings.template as string);
        return new EndpointJudge(settings, template, (await replyInstruction("json")).trim());
    }

    /** @throws SteerError JUDGE_FAILED, ABORTED */
    async judge(texts: readonly JudgedText[], options: JudgeOptions = {}): Promise<Verdict[]> {
        const verdicts: Verdict[] = new Array(texts.length);
        let next = 0;
        const work = async (): Promise<void> => {
            while (next < texts.length) {
                const index = next++;
                try {
                    const verdict = await this.#verdict(texts[index] as JudgedText, options);
                    verdicts[index] = verdict;
                    options.onVerdicts?.([{ index, verdict }]);
                } catch (error) {
                    // Nothing new is begun; what is under way may still be kept.
                    next = texts.length;
                    throw error;
                }
            }
        };
        const workers = Array.from({ length: Math.min(this.#settings.concurrency, texts.length) }, work);
        const failed = (await Promise.allSettled(workers)).find((each) => each.status === "rejected");
        if (failed !== undefined) {
            throw failed.reason;
        }
        return verdicts;
    }

    async #verdict(text: JudgedText, options: JudgeOptions): Promise<Verdict> {
        const { retries } = this.#settings;
        for (let attempt = 1; ; attempt++) {
            throwIfAborted(options.signal);
            const result = await this.#ask(text, options.signal);
            if ("verdict" in result) {
                return result.verdict;
            }
            throwIfAborted(options.signal);
            if (!result.again || attempt > retries) {
                throw this.#spent(result, attempt);
            }
            const waitMilliseconds = this.#wait(result, attempt);
            const { reason, message } = result;
            options.onEvent?.({ type: "retry", reason, attempt, waitMilliseconds, message });
            await pause(waitMilliseconds, options.signal);
        }
    }

    async #ask(text: JudgedText, signal: AbortSignal | undefined): Promise<{ verdict: Verdict } | Trouble> {
        const structured = this.#structured;
        const result = await this.#askOnce(text, structured, signal);
        if (!structured || this.#settings.structured === "always" || !isAboutFormat(result)) {
            return result;
        }
        // Whether it was the format that the server did not like shows only without it.
        const plain = await this.#askOnce(text, false, signal);
        this.#structured = isAboutFormat(plain);
        return plain;
    }

    async #askOnce(
        text: JudgedText,
        structured: boolean,
        signal: AbortSignal | undefined,
    ): Promise<{ verdict: Verdict } | Trouble> {
        this.counts.requests++;
        // The client's own limit ends when the reply begins; a reply may also never end.
        const limit = AbortSignal.timeout(this.#settings.timeoutMilliseconds);
        try {
            const completion = await this.#client.chat.completions.create(this.#request(text, structured), {
                signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
            });
            const reply = completion?.choices?.[0]?.message?.content;
            const verdict = readVerdict(reply);
            if (verdict !== undefined) {
                return { verdict };
            }
            this.counts.malformed++;
            const message = `the reply is no verdict: ${JSON.stringify(String(reply).slice(0, 120))}`;
            return { reason: "malformed", again: true, message, cause: undefined };
        } catch (error) {
            this.counts.failed++;
            return troubleOf(error, limit.aborted ? this.#settings.timeoutMilliseconds : undefined);
        }
    }

    #request(text: JudgedText, structured: boolean): OpenAI.ChatCompletionCreateParamsNonStreaming {
        return {
            model: this.#settings.model,
            temperature: 0,
            messages: [
                { role: "system", content: this.#system },
                { role: "user", content: this.#template.fill(text) },
            ],
            ...(structured ? { response_format: verdictFormat } : {}),
        };
    }

    /** Spread, so that requests that were turned away together do not come back together. */
    #wait(trouble: Trouble, attempt: number): number {
        const grown = Math.min(60_000, this.#settings.backoffMilliseconds * 2 ** (attempt - 1));
        return Math.round(retryAfter(trouble.cause) ?? grown * (0.75 + Math.random() / 2));
    }

    #spent({ message, cause, again }: Trouble, attempts: number): SteerError {
        const { requests, malformed, failed } = this.counts;
        const tries = again ? ` after ${attempts} attempts` : "";
        return failure(
            "JUDGE_FAILED",
            `the judge ${this.#settings.model} at ${this.#settings.baseUrl} gives no verdict${tries}: ${message} (of ${requests} ` +
                `requests, ${malformed} were malformed and ${failed} failed). Verdicts that were finished are kept`,
            cause,
        );
    }
}

/** A server that does not know `response_format`, or not this one, calls the request bad. */
function isAboutFormat(result: object): boolean {
    const { cause } = result as Partial<Trouble>;
    return cause instanceof OpenAI.APIError && (cause.status === 400 || cause.status === 422 || cause.status === 501);
}
