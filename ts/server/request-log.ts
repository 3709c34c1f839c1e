/** Where a handler's log goes: pino's loggers fit, and so does whatever takes an object and a message. */
export interface RequestLog {
    info(fields: object, message: string): void;
    error(fields: object, message: string): void;
}

/** What is known of a request when it has been answered. Nothing of what was asked or answered is among it. */
export interface RequestRecord {
    id: string;
    method: string;
    /** One of the API's own paths, or "other". */
    route: string;
    status: number;
    /** To the response's head; of a stream, to its first tokens. */
    milliseconds: number;
    client: string;
}
