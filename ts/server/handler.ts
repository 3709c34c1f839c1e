import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { SteeringVector } from "../index.js";
import { ActivationsEndpoint } from "./activations-endpoint.js";
import { ApiError, apiErrorOf, errorResponse } from "./api-error.js";
import { ApiKeys } from "./api-keys.js";
import { type Asker, CompletionsEndpoint, checkServing, type EndpointHost } from "./completions-endpoint.js";
import { type HandlerLimits, limitsSchema } from "./limits.js";
import { Conversation } from "./logged-text.js";
import { ServerMetrics } from "./metrics.js";
import { checkedOptions } from "./options.js";
import type { RequestLog, RequestRecord } from "./request-log.js";
import { Scheduler } from "./scheduler.js";
import type { RequestSteering } from "./serve-request.js";
import { VectorRegistry } from "./vector-registry.js";
import { VectorUploads } from "./vector-uploads.js";

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
    /** Whether clients may upload vectors, and delete those. Default false. */
    uploads?: boolean;
    limits?: HandlerLimits;
    /** Takes a line for every request, such as pino's logger. Nothing of prompts or answers is in it by itself. Default: none. */
    log?: RequestLog;
    /**
     * Whether those lines hold the text of prompts and answers, up to 4096 characters of each. The line of a stream is then
     * written when it has ended. Default false.
     */
    logPrompts?: boolean;
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
    uploads: z.boolean().default(false),
    limits: limitsSchema,
    log: z.custom<RequestLog>((value) => typeof (value as RequestLog | null)?.info === "function").optional(),
    logPrompts: z.boolean().default(false),
    onError: z.custom<(error: unknown) => void>(callable).optional(),
});

/**
 * An OpenAI-compatible API over a scheduler: `/v1/chat/completions`, `/v1/completions`, `/v1/models`, and with them
 * `/v1/activations`, `/v1/steering/vectors`, `/health` and `/metrics`. Completions and activations take a `steering` field.
 *
 * @throws SteerError INVALID_ARGUMENT
 */
export function createHandler(options: HandlerOptions): Handler {
    const api = new Api(checkedOptions(optionsSchema, options, "options"));
    return (request) => api.answer(request);
}

interface Route {
    method: "GET" | "POST" | "PUT" | "DELETE";
    /** As a log has it. */
    name: string;
    path: RegExp;
    /** Whether it answers without a key. */
    open?: boolean;
    run: (request: Request, matched: string, asker: Asker) => Promise<Response> | Response;
}

class Api {
    readonly #options: z.output<typeof optionsSchema>;
    readonly #host: EndpointHost;
    readonly #keys: ApiKeys;
    readonly #metrics: ServerMetrics;
    readonly #created = Math.floor(Date.now() / 1000);
    readonly #routes: readonly Route[];

    constructor(options: z.output<typeof optionsSchema>) {
        const { scheduler, model, vectors, fixed, limits, keys } = options;
        this.#options = options;
        this.#keys = new ApiKeys(keys);
        const metrics = new ServerMetrics(scheduler);
        this.#metrics = metrics;
        const registry =
            vectors instanceof VectorRegistry ? vectors : new VectorRegistry(vectors as Record<string, SteeringVector>);
        const onFinished: EndpointHost["onFinished"] = (result) => metrics.finish(result);
        this.#host = { scheduler, model, vectors: registry, fixed, limits, onFinished };
        this.#routes = this.#makeRoutes(registry);
    }

    #makeRoutes(registry: VectorRegistry): Route[] {
        const completions = new CompletionsEndpoint(this.#host);
        const activations = new ActivationsEndpoint(this.#host);
        const route = (method: Route["method"], name: string, run: Route["run"], open = false): Route => {
            const path = new RegExp(`^${name.replace("{name}", "([^/]+)")}$`);
            return { method, name, path, open, run };
        };
        const routes = [
            route("GET", "/health", () => this.#health(), true),
            route("GET", "/metrics", () => this.#metrics.response()),
            route("GET", "/v1/models", () => Response.json({ object: "list", data: [this.#model(this.#host.model)] })),
            route("GET", "/v1/models/{name}", (_, name) => Response.json(this.#model(name))),
            route("GET", "/v1/steering/vectors", () => Response.json({ object: "list", data: registry.list() })),
            route("POST", "/v1/chat/completions", (request, _, asker) => completions.chat(request, asker)),
            route("POST", "/v1/completions", (request, _, asker) => completions.text(request, asker)),
            route("POST", "/v1/activations", (request, _, asker) => activations.answer(request, asker)),
        ];
        if (this.#options.uploads) {
            const uploads = new VectorUploads(registry, this.#host.scheduler.context.model, this.#host.limits);
            routes.push(
                route("PUT", "/v1/steering/vectors/{name}", (request, name) => uploads.put(name, request)),
                route("DELETE", "/v1/steering/vectors/{name}", (_, name) => uploads.delete(name)),
            );
        }
        return routes;
    }

    async answer(request: Request): Promise<Response> {
        const begun = performance.now();
        const record: RequestRecord = {
            id: `req_${randomUUID()}`,
            method: request.method,
            route: "other",
            status: 500,
            milliseconds: 0,
            client: "",
        };
        const conversation = this.#options.logPrompts ? new Conversation() : undefined;
        let response: Response;
        try {
            response = await this.#route(request, record, conversation);
        } catch (error) {
            const told = apiErrorOf(error);
            if (told.status === 500) {
                this.#options.onError?.(error);
                this.#options.log?.error({ err: error, id: record.id }, "a request failed");
            }
            response = errorResponse(told);
        }
        record.status = response.status;
        record.milliseconds = Math.round(performance.now() - begun);
        this.#metrics.request(record);
        this.#log(record, conversation);
        response.headers.set("x-request-id", record.id);
        return response;
    }

    /** With its text, a line waits until that has come; of what was answered at once, it has. */
    #log(record: RequestRecord, conversation: Conversation | undefined): void {
        Promise.resolve(conversation?.ended())
            .then(() => this.#options.log?.info({ ...record, ...conversation?.said }, "request"))
            // A log that fails is no reason for the answer to, or for the process to end.
            .catch((error: unknown) => this.#options.onError?.(error));
    }

    #route(
        request: Request,
        record: RequestRecord,
        conversation: Conversation | undefined,
    ): Promise<Response> | Response {
        const { pathname } = new URL(request.url);
        const fitting = this.#routes.filter(({ path }) => path.test(pathname));
        const route = fitting.find(({ method }) => method === request.method);
        record.route = route?.name ?? record.route;
        const key = route?.open ? undefined : this.#keys.check(request);
        record.client = key === undefined ? "" : `key ${key}`;
        if (fitting.length === 0) {
            throw new ApiError(404, "unknown_url", `there is no ${pathname.slice(0, 100)}`);
        }
        if (route === undefined) {
            const methods = fitting.map(({ method }) => method).join(", ");
            throw new ApiError(405, "method_not_allowed", `${pathname.slice(0, 100)} takes ${methods}`);
        }
        return route.run(request, route.path.exec(pathname)?.[1] ?? "", { client: record.client, conversation });
    }

    #health(): Response {
        const { closed, context } = this.#host.scheduler;
        const serving = !closed && !context.disposed;
        return Response.json({ status: serving ? "ok" : "closing" }, { status: serving ? 200 : 503 });
    }

    #model(name: string): object {
        const { model } = this.#host;
        checkServing(this.#host, name === encodeURIComponent(model) ? model : name);
        return { id: model, object: "model", created: this.#created, owned_by: "llama-steer" };
    }
}
