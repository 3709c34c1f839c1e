import type { z } from "zod";
import { SteerError, type SteerErrorCode } from "../index.js";

/**
 * What a caller gave, checked against a schema, with its defaults filled in.
 *
 * @throws SteerError INVALID_ARGUMENT, naming the option
 */
export function parsed<Schema extends z.ZodType>(schema: Schema, value: unknown, name: string): z.output<Schema> {
    const result = schema.safeParse(value);
    if (!result.success) {
        throw new SteerError("INVALID_ARGUMENT", `${name}: ${issuesOf(result.error)}`);
    }
    return result.data;
}

/** What a schema found wrong, in one line. */
export function issuesOf(error: z.ZodError): string {
    return error.issues
        .slice(0, 3)
        .map(({ path, message }) => (path.length === 0 ? message : `${path.map(String).join(".")}: ${message}`))
        .join("; ");
}

/** An error that keeps what led to it. */
export function failure(code: SteerErrorCode, message: string, cause: unknown): SteerError {
    return new SteerError(code, message, { cause });
}

/** @throws SteerError ABORTED where `signal` has aborted */
export function throwIfAborted(signal: AbortSignal | undefined): void {
    if (signal?.aborted) {
        throw failure("ABORTED", "the stage was aborted; what it had finished is kept", signal.reason);
    }
}
