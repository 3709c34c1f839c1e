import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { z } from "zod";
import { SteerError } from "../index.js";
import { ApiError, errorResponse } from "./api-error.js";
import { isAnswering } from "./connections.js";
import { createHandler, type Handler, type HandlerOptions } from "./handler.js";
import { defaultRequestMilliseconds } from "./limits.js";
import { nodeListener } from "./node-listener.js";
import { checkedOptions, count } from "./options.js";
import { connectionFault, refuseConnection } from "./refused-connection.js";
import type { UnfinishedRequest } from "./serve-request.js";

export interface ServeOptions extends HandlerOptions {
    /** Address to listen at. Default `"127.0.0.1"`; one that others can reach needs `keys`. */
    host?: string;
    /** Default 8080; 0: any that is free. */
    port?: number;
    /** Time for a client to send its headers. Default 10 s. The body has a limit of its own, see {@link HandlerLimits}. */
    headersMilliseconds?: number;
}

const optionsSchema = z.looseObject({
    host: z.string().min(1).default("127.0.0.1"),
    port: z.int().min(0).max(65535).default(8080),
    headersMilliseconds: count.default(10_000),
    keys: z.array(z.string()).default([]),
});
const loopback = /^(127(\.\d{1,3}){3}|::1|localhost)$/;
const maxHeaderSize = 16 * 1024;
const longestTimer = 2 ** 31 - 1;

/** A server that listens. */
export class RunningServer {
    readonly #server: Server;
    readonly #options: HandlerOptions;
    #closed: Promise<UnfinishedRequest[]> | undefined;
    readonly url: string;

    /** @internal Use {@link serve}. */
    constructor(server: Server, options: HandlerOptions) {
        const { address, port, family } = server.address() as AddressInfo;
        this.url = `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
        this.#server = server;
        this.#options = options;
    }

    /**
     * Takes no more connections and requests, and closes the scheduler: requests that were taken are finished within the grace
     * period, the others handed back. Calling it again does nothing.
     */
    close(options: { graceMilliseconds?: number } = {}): Promise<UnfinishedRequest[]> {
        this.#closed ??= this.#close(options);
        return this.#closed;
    }

    async #close(options: { graceMilliseconds?: number }): Promise<UnfinishedRequest[]> {
        const stopped = new Promise((resolve) => this.#server.close(resolve));
        this.#server.closeIdleConnections();
        const unfinished = await this.#options.scheduler.close(options);
        // What has just ended is written out; who does not read it is not waited for.
        const patience = setTimeout(() => this.#server.closeAllConnections(), 1000);
        const idle = setInterval(() => this.#server.closeIdleConnections(), 20);
        await stopped;
        clearTimeout(patience);
        clearInterval(idle);
        return unfinished;
    }
}

/**
 * Serves {@link createHandler} over HTTP.
 *
 * @throws SteerError INVALID_ARGUMENT (also a host that others can reach without keys); Node's own error where the port is
 *   taken
 */
export async function serve(options: ServeOptions): Promise<RunningServer> {
    const { host, port, keys, headersMilliseconds } = checkedOptions(optionsSchema, options, "options");
    const local = loopback.test(host);
    if (!local && keys.length === 0) {
        throw new SteerError("INVALID_ARGUMENT", `${host} can be reached by others: give keys, or listen at 127.0.0.1`);
    }
    const { host: _, port: __, headersMilliseconds: ___, ...rest } = options;
    const handler = createHandler(rest);
    const named = local && keys.length === 0 ? forLocalNames(handler) : handler;
    // As long as a request may take, and once more for its answer to be taken.
    const responseMilliseconds = Math.min(
        2 * (rest.limits?.requestMilliseconds ?? defaultRequestMilliseconds),
        longestTimer,
    );
    const timing = {
        headersTimeout: headersMilliseconds,
        requestTimeout: 0,
        connectionsCheckingInterval: Math.min(1000, headersMilliseconds),
    };
    const listener = nodeListener(named, { responseMilliseconds });
    // A request without a host is refused with all others that cannot be read.
    const server = createServer({ ...timing, maxHeaderSize, requireHostHeader: false }, listener);
    server.on("checkContinue", nodeListener(named, { responseMilliseconds, continues: true }));
    refuseOthers(server);
    server.listen(port, host);
    await once(server, "listening");
    return new RunningServer(server, rest);
}

/** Answers, as the API does, what Node would answer with a bare status or not at all. */
function refuseOthers(server: Server): void {
    server.on("clientError", (error, socket) => {
        const fault = connectionFault(error);
        if (fault === undefined || isAnswering(socket as Socket)) {
            socket.destroy();
        } else if (socket.writable) {
            refuseConnection(socket, fault);
        }
    });
    const unmet = new ApiError(417, "expectation_failed", "of expectations, this server meets 100-continue only");
    server.on(
        "checkExpectation",
        nodeListener(async () => errorResponse(unmet)),
    );
    server.on("connect", (_, socket) => {
        refuseConnection(socket, new ApiError(405, "method_not_allowed", "this server is no proxy"));
    });
}

/** A page of another site can have its own name point here, and then ask as if from here. It cannot change that name. */
function forLocalNames(handler: Handler): Handler {
    return async (request) => {
        const name = (request.headers.get("host") ?? "").replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
        return loopback.test(name)
            ? handler(request)
            : errorResponse(new ApiError(403, "unknown_host", "this server answers to the names of loopback only"));
    };
}
