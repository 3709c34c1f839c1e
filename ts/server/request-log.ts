import type { LoggedText } from "./logged-text.js";

/** Where a handler's log goes: pino's loggers fit, and so does whatever takes an object and a message. */
export interface RequestLog {
    info(fields: object, message: string): void;
    error(fields: object, message: string): void;
}

/** What is known of a request when it has been answered. What was asked and answered is among it where `logPrompts` says so. */
export interface RequestRecord {
    id: string;
    method: string;
    /** One of the API's own paths, or "other". */
    route: string;
    status: number;
    /** To the response's head; of a stream, to its first tokens. */
    milliseconds: number;
    client: string;
    /** With `logPrompts`: the prompts, and the answers as far as they came, in the order of their indices. */
    prompts?: readonly LoggedText[];
    answers?: readonly LoggedText[];
}
