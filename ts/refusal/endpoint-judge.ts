import OpenAI from "openai";
import { z } from "zod";
import { contentKey } from "./content-key.js";
import {
    type ChatRequest,
    EndpointClient,
    type EndpointCounts,
    type EndpointOptions,
    endpointFields,
    type Outcome,
    type ReadReply,
} from "./endpoint-client.js";
import type { Judge, JudgedText, JudgeOptions, Verdict } from "./judge.js";
import { JudgeTemplate, replyInstruction } from "./judge-template.js";
import { parsed } from "./parse.js";
import { readVerdict, verdictFormat } from "./verdict-reply.js";

export interface EndpointJudgeOptions extends EndpointOptions {
    /** Requests at a time. Default 4. */
    concurrency?: number | undefined;
    /** Of one request with all of its reply. Default 60 000. */
    timeoutMilliseconds?: number | undefined;
    /** A file with what the judge is told, `{question}` and `{answer}` in it. Default: this package's own. */
    template?: string | undefined;
    /**
     * Whether the server is asked to hold the reply to a JSON schema. `"auto"` (default): until it says that it does not
     * know how to.
     */
    structured?: "auto" | "always" | "never" | undefined;
}

const optionsSchema = z.object({
    ...endpointFields(4, 60_000),
    template: z.string().optional(),
    structured: z.enum(["auto", "always", "never"]).default("auto"),
});
type Settings = z.output<typeof optionsSchema>;

/**
 * A judge behind an OpenAI-compatible chat endpoint. It replies with JSON that is checked; what is no verdict is asked for
 * again and never guessed. When the retries of one verdict are spent, the requests under way are waited for, reported,
 * and then the error comes.
 */
export class EndpointJudge implements Judge {
    readonly id: string;
    readonly #client: EndpointClient;
    readonly #settings: Settings;
    readonly #template: JudgeTemplate;
    readonly #system: string;
    #structured: boolean;

    private constructor(settings: Settings, template: JudgeTemplate, system: string) {
        const { baseUrl, model } = settings;
        this.#settings = settings;
        this.#template = template;
        this.#system = system;
        this.#structured = settings.structured !== "never";
        this.id = contentKey("endpoint judge", baseUrl, model, template.source, system);
        this.#client = new EndpointClient(settings, { code: "JUDGE_FAILED", who: "the judge", what: "verdict" });
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

    get counts(): EndpointCounts {
        return this.#client.counts;
    }

    /** @throws SteerError JUDGE_FAILED, ABORTED */
    async judge(texts: readonly JudgedText[], options: JudgeOptions = {}): Promise<Verdict[]> {
        const verdicts: Verdict[] = new Array(texts.length);
        await this.#client.each(texts.length, async (index) => {
            const ask = () => this.#ask(texts[index] as JudgedText, options.signal);
            const verdict = await this.#client.persist(ask, options);
            verdicts[index] = verdict;
            options.onVerdicts?.([{ index, verdict }]);
        });
        return verdicts;
    }

    async #ask(text: JudgedText, signal: AbortSignal | undefined): Promise<Outcome<Verdict>> {
        const structured = this.#structured;
        const result = await this.#client.once(this.#request(text, structured), readReply, signal);
        if (!structured || this.#settings.structured === "always" || !isAboutFormat(result)) {
            return result;
        }
        // Whether it was the format that the server did not like shows only without it.
        const plain = await this.#client.once(this.#request(text, false), readReply, signal);
        this.#structured = isAboutFormat(plain);
        return plain;
    }

    #request(text: JudgedText, structured: boolean): ChatRequest {
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
}

const readReply: ReadReply<Verdict> = (reply) => {
    const content = reply.choices?.[0]?.message?.content;
    const value = readVerdict(content);
    return value === undefined
        ? `the reply is no verdict: ${JSON.stringify(String(content).slice(0, 120))}`
        : { value };
};

/** A server that does not know `response_format`, or not this one, calls the request bad. */
function isAboutFormat(result: object): boolean {
    const { cause } = result as { cause?: unknown };
    return cause instanceof OpenAI.APIError && (cause.status === 400 || cause.status === 422 || cause.status === 501);
}
