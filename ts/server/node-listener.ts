import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import { z } from "zod";
import { ApiError, errorResponse } from "./api-error.js";
import { followed } from "./connections.js";
import type { Handler } from "./handler.js";
import { discardRest, incomingBody } from "./incoming-body.js";
import { defaultRequestMilliseconds } from "./limits.js";
import { checkedOptions, count } from "./options.js";

export interface NodeListenerOptions {
    /** Time that a client may take to take an answer, from its head to its last byte. Default 20 minutes. */
    responseMilliseconds?: number;
    /** For the event `"checkContinue"`: the client is told to go on when the body is first read, and not before. Default false. */
    continues?: boolean;
}

const optionsSchema = z.strictObject({
    responseMilliseconds: count.max(2 ** 31 - 1).default(2 * defaultRequestMilliseconds),
    continues: z.boolean().default(false),
});

/**
 * What `http.createServer` takes: requests become standard ones, and a client that goes away aborts its own.
 *
 * @throws SteerError INVALID_ARGUMENT
 */
export function nodeListener(
    handler: Handler,
    options: NodeListenerOptions = {},
): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
    const { responseMilliseconds, continues } = checkedOptions(optionsSchema, options, "options");
    return (incoming, outgoing) => {
        const gone = followed(incoming, outgoing);
        const goOn = continues ? () => outgoing.writeContinue() : () => {};
        void answer(handler, incoming, gone, goOn)
            .then((response) => send(response, incoming, outgoing, gone, responseMilliseconds))
            // A client that went away is no failure: its request was aborted.
            .catch(() => incoming.socket.destroy());
    };
}

async function answer(
    handler: Handler,
    incoming: IncomingMessage,
    signal: AbortSignal,
    goOn: () => void,
): Promise<Response> {
    let request: Request;
    try {
        request = requestOf(incoming, signal, goOn);
    } catch {
        return errorResponse(new ApiError(400, "invalid_request", "the request cannot be read"));
    }
    return handler(request);
}

/** @throws TypeError for what the standard has no request for */
function requestOf(incoming: IncomingMessage, signal: AbortSignal, goOn: () => void): Request {
    const { method = "GET", httpVersion, rawHeaders } = incoming;
    if (httpVersion === "1.1" && incoming.headers.host === undefined) {
        throw new TypeError("HTTP 1.1 asks for a host");
    }
    const headers = new Headers();
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
        headers.append(rawHeaders[i] as string, rawHeaders[i + 1] as string);
    }
    // The host is the client's to say, and no route looks at it.
    const url = new URL(incoming.url ?? "/", "http://localhost");
    const hasBody = method !== "GET" && method !== "HEAD";
    const body = hasBody ? incomingBody(incoming, goOn) : null;
    return new Request(url, { method, headers, signal, body, ...(hasBody ? { duplex: "half" } : {}) });
}

async function send(
    response: Response,
    incoming: IncomingMessage,
    outgoing: ServerResponse,
    gone: AbortSignal,
    milliseconds: number,
): Promise<void> {
    const { body } = response;
    if (gone.aborted || outgoing.destroyed) {
        await body?.cancel();
        return;
    }
    const deadline = setTimeout(() => incoming.socket.destroy(), milliseconds);
    outgoing.once("close", () => clearTimeout(deadline));
    gone.addEventListener("abort", () => clearTimeout(deadline), { once: true });
    outgoing.statusCode = response.status;
    response.headers.forEach((value, name) => {
        outgoing.setHeader(name, value);
    });
    if (!incoming.complete) {
        await refuseRest(response, incoming, outgoing);
    } else if (body === null) {
        outgoing.end();
    } else {
        await pipeline(Readable.fromWeb(body as NodeReadableStream), outgoing, { signal: gone });
    }
}

/**
 * Answers a request whose body is not wanted any further. A connection that is closed upon unread bytes is reset, and a
 * client that is still sending may then never read why: so what still comes is thrown away for a while.
 */
async function refuseRest(response: Response, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const bytes = Buffer.from(await response.arrayBuffer());
    outgoing.setHeader("connection", "close");
    outgoing.setHeader("content-length", bytes.length);
    outgoing.write(bytes);
    await discardRest(incoming);
    outgoing.end();
}
