import type { SteerError } from "../index.js";
import type { Output } from "./output.js";

/** Options that do not go together: wrong use, told before anything is done. */
export class UsageError extends Error {}

/** What went wrong, in one form for people and programs. */
export interface Failure {
    /** One of docs/errors.md. */
    code: string;
    message: string;
    /** Where it came from, for what should never happen. */
    stack?: string | undefined;
}

export function failureOf(error: unknown): Failure {
    if (isCoded(error)) {
        return { code: error.code, message: error.message };
    }
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    return error instanceof UsageError ? { code: "INVALID_ARGUMENT", message } : { code: "INTERNAL", message, stack };
}

/** By its name: the class comes with the addon, which may be what is missing. */
const isCoded = (error: unknown): error is SteerError => error instanceof Error && error.name === "SteerError";

/** `error CODE: message` on standard error; with `--json` also the object that standard output then holds. */
export function reportFailure(output: Output, { code, message, stack }: Failure): void {
    output.error(`error ${code}: ${message}`);
    if (stack !== undefined) {
        output.error(stack);
    }
    if (output.json) {
        output.write(`${JSON.stringify({ error: { code, message } })}\n`);
    }
}
