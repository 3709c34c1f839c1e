import { randomInt, randomUUID } from "node:crypto";
import { z } from "zod";
import type { SteeringVector } from "../index.js";
import { AnswerGroup, type AnswerNews } from "./answer-group.js";
import { ApiError, apiErrorOf, errorResponse } from "./api-error.js";
import { ApiKeys } from "./api-keys.js";
import { CompletionBodies, type CompletionOrder } from "./completion-bodies.js";
import { ChatFormat, type CompletionFormat, TextFormat } from "./completion-objects.js";
import { afterFirst, eventStream } from "./event-stream.js";
import { checkedOptions, count } from "./options.js";
import { readJson } from "./read-body.js";
import { Scheduler } from "./scheduler.js";
import type { RequestSteering, ServeResult } from "./serve-request.js";
import { requestSteering } from "./steering-field.js";
import { VectorRegistry } from "./vector-registry.js";

export interface HandlerLimits {
    /** Bytes of a body. Default 1 MiB. */
    bodyBytes?: number;
    /** Time that a body may take to arrive. Default 30 s. */
    bodyMilliseconds?: number;
    /** Time that a request may take, waiting included. Default 10 minutes. */
    requestMilliseconds?: number;
    /** Answers to one request. Default 8. */
    choices?: number;
    /** Tokens that a request may ask for. Default 4096. */
    maxTokens?: number;
    /** Of a steering strength, either way. Default 4. */
    strength?: number;
}

export interface HandlerOptions {
    scheduler: Scheduler;
    /** The model's name in the API. */
    model: string;
    /** What the `steering` field may name. Default: nothing. */
    vectors?: VectorRegistry | Readonly<Record<string, SteeringVector>>;
    /** Default: everybody may ask. */
    keys?: readonly string[];
    /** Steering of every answer, which no request can remove. It acts after the request's own. */
    fixed?: RequestSteering;
    limits?: HandlerLimits;
    /** Told of failures that are the server's own, whose clients hear nothing of them but status 500. */
    onError?: (error: unknown) => void;
}

/** Answers a request, and never rejects. Mounts wherever the standard `Request` and `Response` are spoken. */
export type Handler = (request: Request) => Promise<Response>;

const callable = (value: unknown): boolean => typeof value === "function";
const optionsSchema = z.strictObject({
    scheduler: z.instanceof(Scheduler),
    model: z.string().min(1),
    vectors: z.union([z.instanceof(VectorRegistry), z.record(z.string(), z.unknown())]).default({}),
    keys: z.array(z.string().regex(/^\S+$/, "must have no spaces, and not be empty")).default([]),
    fixed: z.object({ key: z.string(), apply: z.custom<RequestSteering["apply"]>(callable) }).optional(),
    limits: z
        .strictObject({
            bodyBytes: count.default(2 ** 20),
            bodyMilliseconds: count.default(30_000),
            requestMilliseconds: count.default(600_000),
            choices: count.default(8),
            maxTokens: count.default(4096),
            strength: z.number().positive().default(4),
        })
        .prefault({}),
    onError: z.custom<(error: unknown) => void>(callable).optional(),
});

/**
 * An OpenAI-compatible API over a scheduler: `/v1/chat/completions`, `/v1/completions`, `/v1/models`,
 * `/v1/steering/vectors` and `/health`. Completions take a `steering` field.
 *
 * @throws SteerError INVALID_ARGUMENT
 */
export function createHandler(options: HandlerOptions): Handler {
    const api = new Api(checkedOptions(optionsSchema, options, "options"));
    return (request) => api.answer(request);
}

interface Route {
    method: "GET" | "POST";
    path: RegExp;
    /** Whether it answers without a key. */
    open?: boolean;
    run: (request: Request, matched: string, client: string) => Promise<Response> | Response;
}

class Api {
    readonly #options: z.output<typeof optionsSchema>;
    readonly #keys: ApiKeys;
    readonly #vectors: VectorRegistry;
    readonly #bodies: CompletionBodies;
    readonly #created = Math.floor(Date.now() / 1000);
    readonly #routes: readonly Route[] = [
        { method: "GET", path: /^\/health$/, open: true, run: () => this.#health() },
        { method: "GET", path: /^\/v1\/models$/, run: () => Response.json({ object: "list", data: [this.#model()] }) },
        { method: "GET", path: /^\/v1\/models\/(.+)$/, run: (_, name) => Response.json(this.#model(name)) },
        { method: "GET", path: /^\/v1\/steering\/vectors$/, run: () => this.#listVectors() },
        { method: "POST", path: /^\/v1\/chat\/completions$/, run: (request, _, client) => this.#chat(request, client) },
        { method: "POST", path: /^\/v1\/completions$/, run: (request, _, client) => this.#text(request, client) },
    ];

    constructor(options: z.output<typeof optionsSchema>) {
        this.#options = options;
        this.#keys = new ApiKeys(options.keys);
        const { vectors } = options;
        this.#vectors =
            vectors instanceof VectorRegistry ? vectors : new VectorRegistry(vectors as Record<string, SteeringVector>);
        this.#bodies = new CompletionBodies(options.limits);
    }

    async answer(request: Request): Promise<Response> {
        let response: Response;
        try {
            response = await this.#route(request);
        } catch (error) {
            const told = apiErrorOf(error);
            if (told.status === 500) {
                this.#options.onError?.(error);
            }
            response = errorResponse(told);
        }
        response.headers.set("x-request-id", `req_${randomUUID()}`);
        return response;
    }

    #route(request: Request): Promise<Response> | Response {
        const { pathname } = new URL(request.url);
        const fitting = this.#routes.filter(({ path }) => path.test(pathname));
        const route = fitting.find(({ method }) => method === request.method);
        const key = route?.open ? undefined : this.#keys.check(request);
        if (fitting.length === 0) {
            throw new ApiError(404, "unknown_url", `there is no ${pathname.slice(0, 100)}`);
        }
        if (route === undefined) {
            const methods = fitting.map(({ method }) => method).join(", ");
            throw new ApiError(405, "method_not_allowed", `${pathname} takes ${methods}`);
        }
        return route.run(request, route.path.exec(pathname)?.[1] ?? "", key === undefined ? "" : `key ${key}`);
    }

    #health(): Response {
        const { closed, context } = this.#options.scheduler;
        const serving = !closed && !context.disposed;
        return Response.json({ status: serving ? "ok" : "closing" }, { status: serving ? 200 : 503 });
    }

    #model(name = this.#options.model): object {
        if (name !== this.#options.model && name !== encodeURIComponent(this.#options.model)) {
            throw unknownModel(name);
        }
        return { id: this.#options.model, object: "model", created: this.#created, owned_by: "llama-steer" };
    }

    #listVectors(): Response {
        return Response.json({ object: "list", data: this.#vectors.list() });
    }

    async #chat(request: Request, client: string): Promise<Response> {
        const order = this.#bodies.chat(await readJson(request, this.#options.limits));
        const { tokenizer } = this.#options.scheduler.context.model;
        return this.#complete(request, client, order, new ChatFormat(order.model, tokenizer, order.stream));
    }

    async #text(request: Request, client: string): Promise<Response> {
        const order = this.#bodies.text(await readJson(request, this.#options.limits));
        const { tokenizer } = this.#options.scheduler.context.model;
        return this.#complete(request, client, order, new TextFormat(order.model, tokenizer, order.prompts.length));
    }

    async #complete(
        request: Request,
        client: string,
        order: CompletionOrder,
        format: CompletionFormat,
    ): Promise<Response> {
        const { scheduler, limits } = this.#options;
        if (order.model !== this.#options.model) {
            throw unknownModel(order.model);
        }
        if (scheduler.closed) {
            throw new ApiError(503, "closing", "the server is closing down");
        }
        const stop = new AbortController();
        const group = this.#submit(order, client, AbortSignal.any([request.signal, stop.signal]));
        const timer = setTimeout(() => stop.abort(), limits.requestMilliseconds);
        void group.ended().then(() => clearTimeout(timer));
        if (!order.stream) {
            return Response.json(format.whole(await group.results(), order.logprobs));
        }
        // The status is still open until the first answer has begun.
        const news = await afterFirst(group.news());
        return eventStream(this.#events(news, order, format), stop);
    }

    #submit(order: CompletionOrder, client: string, signal: AbortSignal): AnswerGroup {
        const { scheduler, fixed } = this.#options;
        const steering = requestSteering(order.steering, this.#vectors, fixed);
        const seed = order.seed ?? randomInt(2 ** 32);
        const answers = [];
        try {
            for (const prompt of order.prompts) {
                for (let i = 0; i < order.n; i++) {
                    const own = { seed: (seed + i) >>> 0, client, signal };
                    const request = { prompt, ...order.options, ...own };
                    answers.push(scheduler.submit(steering === undefined ? request : { ...request, steering }));
                }
            }
        } catch (error) {
            void new AnswerGroup(answers).abort();
            throw error;
        }
        return new AnswerGroup(answers);
    }

    async *#events(
        news: AsyncGenerator<AnswerNews, void, undefined>,
        order: CompletionOrder,
        format: CompletionFormat,
    ): AsyncGenerator<object, void, undefined> {
        const total = order.prompts.length * order.n;
        const results: ServeResult[] = [];
        for (let index = 0; index < total; index++) {
            const opening = format.opening(index);
            if (opening !== undefined) {
                yield opening;
            }
        }
        for await (const { index, tokens, result } of news) {
            if (result !== undefined) {
                results[index] = result;
                yield format.closing(index, result);
            } else if (order.logprobs || tokens.some(({ text }) => text !== "")) {
                yield format.part(index, tokens, order.logprobs);
            }
        }
        if (order.includeUsage) {
            yield format.usage(results);
        }
    }
}

function unknownModel(name: string): ApiError {
    return new ApiError(404, "model_not_found", `there is no model ${JSON.stringify(name.slice(0, 100))}`, "model");
}
