import type { Context } from "llama-steer";
import { EndpointAnswerer, type EndpointAnswererOptions } from "llama-steer/refusal";
import { Scheduler, serve } from "llama-steer/server";
import { type Behaviour, FakeEndpoint, type FakeRequest } from "./fake-endpoint.js";

/** A cluster that serves the model of a context, over HTTP on loopback, as `"cluster"`. */
export class Cluster {
    readonly baseUrl: string;
    readonly #close: () => Promise<void>;

    private constructor(baseUrl: string, close: () => Promise<void>) {
        this.baseUrl = baseUrl;
        this.#close = close;
    }

    /** Takes over the context. */
    static async start(context: Context): Promise<Cluster> {
        const server = await serve({ scheduler: new Scheduler(context), model: "cluster", port: 0 });
        return new Cluster(`${server.url}/v1`, async () => {
            await server.close();
            await context.dispose();
        });
    }

    answerer(options: Partial<EndpointAnswererOptions> = {}): EndpointAnswerer {
        return answererAt(this.baseUrl, options);
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.#close();
    }
}

export function answererAt(baseUrl: string, options: Partial<EndpointAnswererOptions> = {}): EndpointAnswerer {
    return new EndpointAnswerer({ baseUrl, model: "cluster", backoffMilliseconds: 1, ...options });
}

/** Makes another thing of a reply of the cluster. */
export type Spoil = (body: Record<string, unknown>) => unknown;

/** What stands before a cluster, and decides about each request: passes it on, spoils its reply, or does what it likes. */
export function clusterGate(
    cluster: Cluster,
    decide: (request: FakeRequest, number: number) => Behaviour | Spoil | undefined,
): Promise<FakeEndpoint> {
    return FakeEndpoint.start((request, number) => {
        const decided = decide(request, number);
        if (decided !== undefined && !isSpoil(decided)) {
            return decided;
        }
        return (response) => {
            void (async () => {
                const reply = await fetch(`${cluster.baseUrl}/chat/completions`, {
                    method: "POST",
                    headers: { "content-type": "application/json" },
                    body: JSON.stringify(request.body),
                });
                const body = (await reply.json()) as Record<string, unknown>;
                response.writeHead(reply.status, { "content-type": "application/json" });
                response.end(JSON.stringify(decided === undefined ? body : decided(body)));
            })().catch((error) => response.destroy(error));
        };
    });
}

/** By its only parameter: a behaviour gets the response and the request. */
const isSpoil = (decided: Behaviour | Spoil): decided is Spoil => typeof decided === "function" && decided.length === 1;

export interface Choice {
    message: Record<string, unknown>;
    logprobs: { content: { logprob: number | null }[] } | null;
    finish_reason: string | null;
}
export const firstChoice = (body: Record<string, unknown>): Choice => (body.choices as [Choice])[0];
/** Changes a reply in place. */
export const spoiled = (change: (choice: Choice, body: Record<string, unknown>) => void): Spoil => {
    return (body) => {
        change(firstChoice(body), body);
        return body;
    };
};
