import { checkSignal } from "./check.js";
import type { NativeTask } from "./native.js";
import { SteerError } from "./steer-error.js";

/** The error of an operation that `signal` ended. */
export function abortError(signal: AbortSignal | undefined, message = "the operation was aborted"): SteerError {
    return new SteerError("ABORTED", message, { cause: signal?.reason });
}

/**
 * Starts a native operation and cancels it when `signal` aborts. An aborted signal keeps it from starting.
 *
 * @throws SteerError ABORTED, with the signal's reason as `cause`
 */
export async function runTask<Result>(start: () => NativeTask<Result>, signal?: AbortSignal): Promise<Result> {
    checkSignal(signal);
    if (signal?.aborted) {
        throw abortError(signal);
    }
    const task = start();
    const onAbort = (): void => task.cancel();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
        return await task.promise;
    } catch (error) {
        if (error instanceof SteerError && error.code === "ABORTED" && signal?.aborted) {
            throw abortError(signal, error.message);
        }
        throw error;
    } finally {
        signal?.removeEventListener("abort", onAbort);
    }
}
