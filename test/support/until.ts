import { setTimeout as delay } from "node:timers/promises";

/**
 * Waits until a condition holds, and brings what it returned: whatever is not undefined or false. Looks every 10 ms.
 *
 * @throws Error saying `what` did not come about, after the limit
 */
export async function until<Value>(
    what: string,
    condition: () => Value | undefined | false | Promise<Value | undefined | false>,
    limitMilliseconds = 60_000,
): Promise<Value> {
    const begun = performance.now();
    for (;;) {
        const value = await condition();
        if (value !== undefined && value !== false) {
            return value;
        }
        if (performance.now() - begun > limitMilliseconds) {
            throw new Error(`after ${limitMilliseconds / 1000} s there was still not: ${what}`);
        }
        await delay(10);
    }
}
