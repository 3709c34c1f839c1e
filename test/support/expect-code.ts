import type { ExecutionContext } from "ava";
import { SteerError, type SteerErrorCode } from "llama-steer";

/** What a call failed with, at once or later; undefined where it did not fail. */
export async function failureOf(call: () => unknown): Promise<unknown> {
    try {
        await call();
        return undefined;
    } catch (error) {
        return error ?? new Error("something empty was thrown");
    }
}

/** Asserts that a call fails, at once or later, with a SteerError of this code whose message matches. */
export async function expectCode(
    t: ExecutionContext,
    code: SteerErrorCode,
    call: () => unknown,
    message?: RegExp,
): Promise<SteerError | undefined> {
    const error = await failureOf(call);
    if (!(error instanceof SteerError)) {
        t.fail(`expected SteerError ${code}, got ${String(error)}: ${call}`);
        return undefined;
    }
    t.is(error.code, code, error.message);
    t.true(error.message.length > 10, "the message says what is wrong");
    if (message !== undefined) {
        t.regex(error.message, message);
    }
    return error;
}
