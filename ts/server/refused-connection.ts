import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { ApiError, errorBody } from "./api-error.js";

/** Time for what is refused to be read, before the connection is cut. */
const patience = 1000;

/** What cannot be read as HTTP, by the code of the parser's error. */
const faults: Record<string, ApiError> = {
    HPE_HEADER_OVERFLOW: new ApiError(431, "headers_too_large", "the headers are larger than this server takes"),
    HPE_CHUNK_EXTENSIONS_OVERFLOW: new ApiError(413, "body_too_large", "the body's chunks have too long extensions"),
    ERR_HTTP_REQUEST_TIMEOUT: new ApiError(408, "headers_too_slow", "the headers took too long to arrive"),
};
const unreadable = new ApiError(400, "invalid_request", "the request is not HTTP that this server can read");

/** What a client is told whose bytes made Node's parser fail so; undefined where it has gone. */
export function connectionFault(error: NodeJS.ErrnoException): ApiError | undefined {
    const { code = "" } = error;
    return code === "ECONNRESET" || code === "EPIPE" ? undefined : (faults[code] ?? unreadable);
}

/** Answers on a connection for which there is no response to be had, and ends it. */
export function refuseConnection(socket: Duplex, error: ApiError): void {
    const body = JSON.stringify(errorBody(error));
    const head = [
        `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}`,
        "content-type: application/json",
        `content-length: ${Buffer.byteLength(body)}`,
        "connection: close",
    ];
    const timer = setTimeout(() => socket.destroy(), patience);
    socket.once("close", () => clearTimeout(timer));
    // What still comes is the parser's to fail at again; the first failure was answered.
    socket.on("error", () => socket.destroy());
    socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}
