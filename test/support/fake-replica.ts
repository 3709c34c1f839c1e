import { once } from "node:events";
import {
    createServer,
    type IncomingHttpHeaders,
    type IncomingMessage,
    type Server,
    type ServerResponse,
} from "node:http";
import { freePort } from "./free-port.js";

export interface ReplicaRequest {
    method: string;
    path: string;
    headers: IncomingHttpHeaders;
    bodyBytes: number;
}

/** An HTTP server that stands for a replica, and does with requests what a test says. */
export class FakeReplica {
    readonly name: string;
    readonly port: number;
    readonly requests: ReplicaRequest[] = [];
    /** What becomes of a request whose body has arrived. By default it is answered with the replica's name. */
    answer: (response: ServerResponse) => unknown = (response) => response.end(this.name);
    readonly #server: Server;

    private constructor(name: string, port: number) {
        this.name = name;
        this.port = port;
        this.#server = createServer((request, response) => void this.#take(request, response));
    }

    static async start(name: string, port?: number): Promise<FakeReplica> {
        const replica = new FakeReplica(name, port ?? (await freePort()));
        replica.#server.listen(replica.port, "127.0.0.1");
        await once(replica.#server, "listening");
        return replica;
    }

    get address(): string {
        return `127.0.0.1:${this.port}`;
    }

    async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
        let bodyBytes = 0;
        for await (const chunk of request) {
            bodyBytes += (chunk as Buffer).length;
        }
        const { method = "", url: path = "", headers } = request;
        this.requests.push({ method, path, headers, bodyBytes });
        response.setHeader("x-request-id", `${this.name}-${this.requests.length}`);
        this.answer(response);
    }

    /** Refuses connections from now on, and breaks those that it has. */
    async stop(): Promise<void> {
        this.#server.close();
        this.#server.closeAllConnections();
        await once(this.#server, "close");
    }
}
