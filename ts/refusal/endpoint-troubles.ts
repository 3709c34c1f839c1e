import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";

/** Why a request did not bring what was asked for. */
export interface Trouble {
    reason: "malformed" | "failed";
    /** Whether asking again could help. */
    again: boolean;
    message: string;
    cause: unknown;
}

/** What the same request would bring again: a wrong key, address, model or request. */
const final = [400, 401, 403, 404, 405, 413, 422];

/** @param limitMilliseconds the time limit, where it is what ended the request */
export function troubleOf(error: unknown, limitMilliseconds: number | undefined): Trouble {
    if (limitMilliseconds !== undefined) {
        return {
            reason: "failed",
            again: true,
            message: `no whole reply within ${limitMilliseconds} ms`,
            cause: error,
        };
    }
    const status = error instanceof OpenAI.APIError ? (error.status as number | undefined) : undefined;
    const again = status === undefined || !final.includes(status);
    return { reason: "failed", again, message: reasons(error), cause: error };
}

/** An error's message, and what led to it: the client says no more than "Connection error." of itself. */
function reasons(error: unknown): string {
    const messages: string[] = [];
    for (let each = error; each instanceof Error && messages.length < 4; each = each.cause) {
        messages.push(each.message || (each as NodeJS.ErrnoException).code || each.name);
    }
    return messages.join(": ");
}

/** Milliseconds that a server wants to be left alone; undefined where it does not say, at most a minute. */
export function retryAfter(error: unknown): number | undefined {
    const header = error instanceof OpenAI.APIError ? error.headers?.get("retry-after") : undefined;
    if (header === undefined || header === null) {
        return undefined;
    }
    const seconds = Number(header);
    const wanted = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - Date.now();
    return Number.isFinite(wanted) ? Math.min(60_000, Math.max(0, wanted)) : undefined;
}

/** Waits, or until `signal` aborts. */
export async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    await sleep(milliseconds, undefined, signal === undefined ? {} : { signal }).catch(() => {});
}
