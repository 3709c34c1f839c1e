import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a server does with one request: a reply's content, a status, or anything with the response itself. */
export type Behaviour = string | number | ((response: ServerResponse, request: FakeRequest) => void);

export interface FakeRequest {
    headers: IncomingMessage["headers"];
    path: string;
    body: {
        model: string;
        temperature: number;
        messages: { role: string; content: string }[];
        response_format?: { type: string };
    };
}

/** A small chat endpoint for judges: answers each request as `behave` says. */
export class FakeEndpoint {
    readonly requests: FakeRequest[] = [];
    /** Requests that were under way together, at most. */
    atOnce = 0;
    #open = 0;
    #server: Server;
    behave: (request: FakeRequest, number: number) => Behaviour;

    private constructor(behave: FakeEndpoint["behave"]) {
        this.behave = behave;
        this.#server = createServer((request, response) => void this.#answer(request, response));
    }

    static async start(behave: FakeEndpoint["behave"]): Promise<FakeEndpoint> {
        const endpoint = new FakeEndpoint(behave);
        await new Promise<void>((resolve) => endpoint.#server.listen(0, "127.0.0.1", resolve));
        return endpoint;
    }

    get baseUrl(): string {
        return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
    }

    async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
        this.atOnce = Math.max(this.atOnce, ++this.#open);
        response.once("close", () => this.#open--);
        let body = "";
        for await (const chunk of request) {
            body += chunk;
        }
        const asked = { headers: request.headers, path: request.url ?? "", body: JSON.parse(body) };
        const behaviour = this.behave(asked, this.requests.push(asked) - 1);
        if (typeof behaviour === "function") {
            behaviour(response, asked);
        } else if (typeof behaviour === "number") {
            response.writeHead(behaviour, { "content-type": "application/json" });
            response.end(JSON.stringify({ error: { message: `status ${behaviour}` } }));
        } else {
            reply(response, behaviour);
        }
    }

    stop(): Promise<void> {
        this.#server.closeAllConnections();
        return new Promise((resolve) => void this.#server.close(() => resolve()));
    }

    [Symbol.asyncDispose](): Promise<void> {
        return this.stop();
    }
}

/** A chat completion with this content, as JSON. */
export function completion(content: string): string {
    const choice = { index: 0, message: { role: "assistant", content }, finish_reason: "stop" };
    return JSON.stringify({ id: "1", object: "chat.completion", created: 0, model: "fake", choices: [choice] });
}

/** Replies as a chat endpoint does. */
export function reply(response: ServerResponse, content: string): void {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(completion(content));
}

/** The user's message of a request. */
export function userMessage(request: FakeRequest): string {
    return request.body.messages.find((each) => each.role === "user")?.content ?? "";
}
