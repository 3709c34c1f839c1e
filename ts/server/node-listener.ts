import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import { ApiError, errorResponse } from "./api-error.js";
import type { Handler } from "./handler.js";

/** What `http.createServer` takes: requests become standard ones, and a client that goes away aborts its own. */
export function nodeListener(handler: Handler): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
    return (incoming, outgoing) => {
        const gone = new AbortController();
        outgoing.once("close", () => gone.abort());
        void answer(handler, incoming, gone.signal).then((response) => send(response, incoming, outgoing));
    };
}

async function answer(handler: Handler, incoming: IncomingMessage, signal: AbortSignal): Promise<Response> {
    let request: Request;
    try {
        request = requestOf(incoming, signal);
    } catch {
        return errorResponse(new ApiError(400, "invalid_request", "the request cannot be read"));
    }
    return handler(request);
}

function requestOf(incoming: IncomingMessage, signal: AbortSignal): Request {
    const { method = "GET" } = incoming;
    const headers = new Headers();
    for (let i = 0; i + 1 < incoming.rawHeaders.length; i += 2) {
        headers.append(incoming.rawHeaders[i] as string, incoming.rawHeaders[i + 1] as string);
    }
    // The host is the client's to say, and no route looks at it.
    const url = new URL(incoming.url ?? "/", "http://localhost");
    const hasBody = method !== "GET" && method !== "HEAD";
    const body = hasBody ? (Readable.toWeb(incoming) as ReadableStream<Uint8Array>) : null;
    return new Request(url, { method, headers, signal, body, ...(hasBody ? { duplex: "half" } : {}) });
}

async function send(response: Response, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    if (outgoing.destroyed) {
        await response.body?.cancel();
        return;
    }
    outgoing.statusCode = response.status;
    response.headers.forEach((value, name) => {
        outgoing.setHeader(name, value);
    });
    if (!incoming.complete) {
        // The rest of a body that is not wanted is not waited for.
        outgoing.setHeader("connection", "close");
    }
    if (response.body === null) {
        outgoing.end();
        return;
    }
    // A client that went away is no failure: its request was aborted.
    await pipeline(Readable.fromWeb(response.body as NodeReadableStream), outgoing).catch(() => {});
}
