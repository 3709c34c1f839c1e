import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

interface Open {
    gone: AbortController;
    outgoing: ServerResponse;
}

/** Requests that are not yet answered in full, by their connection. */
const open = new WeakMap<Socket, Set<Open>>();

/**
 * A signal that aborts when the answer is over or its client has gone. Of several requests that were sent at once on one
 * connection, Node tells only the first that it is closed; this tells all.
 */
export function followed(incoming: IncomingMessage, outgoing: ServerResponse): AbortSignal {
    const { socket } = incoming;
    const requests = open.get(socket) ?? followConnection(socket);
    const request = { gone: new AbortController(), outgoing };
    requests.add(request);
    if (socket.destroyed) {
        request.gone.abort();
    }
    outgoing.once("close", () => {
        requests.delete(request);
        request.gone.abort();
    });
    return request.gone.signal;
}

function followConnection(socket: Socket): Set<Open> {
    const requests = new Set<Open>();
    open.set(socket, requests);
    socket.once("close", () => {
        for (const { gone } of requests) {
            gone.abort();
        }
    });
    return requests;
}

/** Whether an answer is being written on a connection, so that another one in its midst would be read as part of it. */
export function isAnswering(socket: Socket): boolean {
    return [...(open.get(socket) ?? [])].some(({ outgoing }) => outgoing.headersSent);
}
