import { randomInt } from "node:crypto";
import { setMaxListeners } from "node:events";
import { AnswerGroup, type AnswerNews } from "./answer-group.js";
import { ApiError } from "./api-error.js";
import { CompletionBodies, type CompletionOrder } from "./completion-bodies.js";
import { ChatFormat, type CompletionFormat, TextFormat } from "./completion-objects.js";
import { afterFirst, eventStream } from "./event-stream.js";
import type { CheckedLimits } from "./limits.js";
import type { Conversation } from "./logged-text.js";
import { readJson } from "./read-body.js";
import type { Scheduler } from "./scheduler.js";
import type { RequestSteering, ServeResult } from "./serve-request.js";
import { requestSteering } from "./steering-field.js";
import type { VectorRegistry } from "./vector-registry.js";

/** What endpoints that ask the model have in common. */
export interface EndpointHost {
    scheduler: Scheduler;
    /** The model's name in the API. */
    model: string;
    vectors: VectorRegistry;
    fixed: RequestSteering | undefined;
    limits: CheckedLimits;
    onFinished: (result: ServeResult) => void;
}

/** Who makes a request, and what is to be told of it. */
export interface Asker {
    client: string;
    /** Where its text is to be logged. */
    conversation: Conversation | undefined;
}

/** @throws ApiError 404 for another model, 503 where nothing is taken any more */
export function checkServing(host: EndpointHost, model: string): void {
    if (model !== host.model) {
        throw new ApiError(404, "model_not_found", `there is no model ${JSON.stringify(model.slice(0, 100))}`, "model");
    }
    if (host.scheduler.closed) {
        throw new ApiError(503, "closing", "the server is closing down");
    }
}

/** `/v1/chat/completions` and `/v1/completions`. */
export class CompletionsEndpoint {
    readonly #host: EndpointHost;
    readonly #bodies: CompletionBodies;

    constructor(host: EndpointHost) {
        this.#host = host;
        this.#bodies = new CompletionBodies(host.limits);
    }

    async chat(request: Request, asker: Asker): Promise<Response> {
        const order = this.#bodies.chat(await readJson(request, this.#host.limits));
        const { tokenizer } = this.#host.scheduler.context.model;
        return this.#complete(request, asker, order, new ChatFormat(order.model, tokenizer, order.stream));
    }

    async text(request: Request, asker: Asker): Promise<Response> {
        const order = this.#bodies.text(await readJson(request, this.#host.limits));
        const { tokenizer } = this.#host.scheduler.context.model;
        return this.#complete(request, asker, order, new TextFormat(order.model, tokenizer, order.prompts.length));
    }

    async #complete(
        request: Request,
        asker: Asker,
        order: CompletionOrder,
        format: CompletionFormat,
    ): Promise<Response> {
        asker.conversation?.ask(order.prompts, this.#host.scheduler.context.model.tokenizer);
        checkServing(this.#host, order.model);
        const stop = new AbortController();
        const group = this.#submit(order, asker, AbortSignal.any([request.signal, stop.signal]));
        const timer = setTimeout(() => stop.abort(), this.#host.limits.requestMilliseconds);
        void group.ended().then(() => clearTimeout(timer));
        if (!order.stream) {
            return Response.json(format.whole(await group.results(), order.logprobs !== undefined));
        }
        // The status is still open until the first answer has begun.
        const news = await afterFirst(group.news());
        return eventStream(eventsOf(news, order, format), stop);
    }

    #submit(order: CompletionOrder, asker: Asker, signal: AbortSignal): AnswerGroup {
        const { scheduler, vectors, fixed, onFinished } = this.#host;
        // Each answer listens twice, and a request may have many.
        setMaxListeners(0, signal);
        const steering = requestSteering(order.steering, vectors, fixed);
        const seed = order.seed ?? randomInt(2 ** 32);
        const answers = [];
        try {
            for (const prompt of order.prompts) {
                for (let i = 0; i < order.n; i++) {
                    const own = { seed: (seed + i) >>> 0, client: asker.client, signal };
                    const request = { prompt, ...order.options, ...own };
                    answers.push(scheduler.submit(steering === undefined ? request : { ...request, steering }));
                }
            }
        } catch (error) {
            void new AnswerGroup(answers).abort();
            throw error;
        }
        for (const answer of answers) {
            answer.result().then(onFinished, () => {});
        }
        asker.conversation?.answer(answers);
        return new AnswerGroup(answers);
    }
}

async function* eventsOf(
    news: AsyncGenerator<AnswerNews, void, undefined>,
    order: CompletionOrder,
    format: CompletionFormat,
): AsyncGenerator<object, void, undefined> {
    const results: ServeResult[] = [];
    for (let index = 0; index < order.prompts.length * order.n; index++) {
        const opening = format.opening(index);
        if (opening !== undefined) {
            yield opening;
        }
    }
    for await (const { index, tokens, result } of news) {
        if (result !== undefined) {
            results[index] = result;
            yield format.closing(index, result);
        } else if (order.logprobs !== undefined || tokens.some(({ text }) => text !== "")) {
            yield format.part(index, tokens, order.logprobs !== undefined);
        }
    }
    if (order.includeUsage) {
        yield format.usage(results);
    }
}
