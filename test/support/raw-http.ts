import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** A response as it came. */
export interface RawAnswer {
    status: number;
    headers: Record<string, string>;
    body: string;
}

/** A connection on which nothing is HTTP but what the caller makes so. Errors of it are ends. */
export class RawClient {
    readonly socket: Socket;
    /** Whether the connection is gone. */
    ended = false;
    #bytes = Buffer.alloc(0);
    #news: () => void = () => {};

    private constructor(socket: Socket) {
        this.socket = socket;
        socket.on("error", () => {});
        socket.on("data", (part) => {
            this.#bytes = Buffer.concat([this.#bytes, part]);
            this.#news();
        });
        socket.once("close", () => {
            this.ended = true;
            this.#news();
        });
    }

    static async open(url: string): Promise<RawClient> {
        const { hostname, port } = new URL(url);
        const socket = connect({ host: hostname, port: Number(port) });
        await once(socket, "connect");
        return new RawClient(socket);
    }

    /** Writes as fast as it is taken, and no more once the connection is gone. Returns the bytes written. */
    async write(...parts: (string | Uint8Array)[]): Promise<number> {
        let written = 0;
        for (const part of parts) {
            if (this.ended || !this.socket.writable) {
                break;
            }
            written += part.length;
            if (!this.socket.write(part)) {
                await new Promise<void>((resolve) => {
                    const done = (): void => {
                        this.socket.off("drain", done).off("close", done);
                        resolve();
                    };
                    this.socket.once("drain", done).once("close", done);
                });
            }
        }
        return written;
    }

    /** All that has come. */
    get received(): string {
        return this.#bytes.toString("latin1");
    }

    /** Waits until something that has come matches, or the other side has ended it. */
    async until(pattern: RegExp): Promise<void> {
        while (!this.ended && !pattern.test(this.received)) {
            await new Promise<void>((resolve) => {
                this.#news = resolve;
            });
        }
    }

    /** The next response that has come in full; undefined if the connection ended before. Interim ones are skipped. */
    async answer(): Promise<RawAnswer | undefined> {
        for (;;) {
            const found = answerIn(this.#bytes);
            if (found !== undefined) {
                this.#bytes = this.#bytes.subarray(found.length);
                if (found.answer.status >= 200) {
                    return found.answer;
                }
            } else if (this.ended) {
                return undefined;
            } else {
                await new Promise<void>((resolve) => {
                    this.#news = resolve;
                });
            }
        }
    }

    /** Waits until the other side has ended it. */
    closed(): Promise<void> {
        return this.until(/(?!)/);
    }

    /** Goes away without a word. */
    leave(): void {
        this.socket.destroy();
    }
}

/** The first response in these bytes, if all of it is there. */
function answerIn(bytes: Buffer): { answer: RawAnswer; length: number } | undefined {
    const begin = bytes.indexOf("\r\n\r\n") + 4;
    if (begin < 4) {
        return undefined;
    }
    const [first = "", ...lines] = bytes.toString("latin1", 0, begin - 4).split("\r\n");
    const headers = Object.fromEntries(
        lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
    );
    const status = Number(first.split(" ")[1]);
    const found = headers["transfer-encoding"] === "chunked" ? chunksIn(bytes, begin) : sizedIn(bytes, begin, headers);
    return found && { answer: { status, headers, body: found.body }, length: found.end };
}

function sizedIn(bytes: Buffer, begin: number, headers: Record<string, string>) {
    const end = begin + Number(headers["content-length"] ?? 0);
    return bytes.length < end ? undefined : { body: bytes.toString("utf8", begin, end), end };
}

function chunksIn(bytes: Buffer, begin: number): { body: string; end: number } | undefined {
    const parts: Buffer[] = [];
    for (let at = begin; ; ) {
        const line = bytes.indexOf("\r\n", at);
        const size = Number.parseInt(bytes.toString("latin1", at, line), 16);
        if (line < 0 || bytes.length < line + 2 + size + 2) {
            return undefined;
        }
        if (size === 0) {
            return { body: Buffer.concat(parts).toString(), end: line + 4 };
        }
        parts.push(bytes.subarray(line + 2, line + 2 + size));
        at = line + 2 + size + 2;
    }
}

/** The head of a request. */
export function head(path: string, headers: readonly string[] = [], method = "POST"): string {
    return `${[`${method} ${path} HTTP/1.1`, "Host: localhost", ...headers].join("\r\n")}\r\n\r\n`;
}

/** A request with a body of JSON. */
export function request(path: string, body: unknown, headers: readonly string[] = []): string {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const own = ["Content-Type: application/json", `Content-Length: ${Buffer.byteLength(text)}`];
    return head(path, [...own, ...headers]) + text;
}
