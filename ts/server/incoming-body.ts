import type { IncomingMessage } from "node:http";

/** What is thrown away of a body that was refused: so long and so much, whichever is first. */
const discardMilliseconds = 1000;
const discardBytes = 2 ** 24;

/**
 * The body of a request, read as it is asked for and never ahead (Node's own `Readable.toWeb` counts pieces instead of bytes, and
 * so may take in a gigabyte). Cancelling it leaves the connection open for an answer. `onFirst` is called before the first
 * piece is read.
 */
export function incomingBody(incoming: IncomingMessage, onFirst: () => void): ReadableStream<Uint8Array> {
    let asked = false;
    let begun = false;
    incoming.pause();
    return new ReadableStream<Uint8Array>(
        {
            start(controller) {
                incoming.on("data", (part: Buffer) => {
                    // Not asked for: it is being thrown away.
                    if (asked) {
                        asked = false;
                        incoming.pause();
                        controller.enqueue(new Uint8Array(part));
                    }
                });
                incoming.once("end", () => settle(() => controller.close()));
                incoming.once("error", (error) => settle(() => controller.error(error)));
                incoming.once("close", () => settle(() => controller.error(new Error("the body broke off"))));
            },
            pull() {
                if (!begun) {
                    begun = true;
                    onFirst();
                }
                asked = true;
                incoming.resume();
            },
            cancel() {
                asked = false;
                incoming.pause();
            },
        },
        { highWaterMark: 0 },
    );
}

/** Ends a stream that may have ended, or been cancelled, before. */
function settle(end: () => void): void {
    try {
        end();
    } catch {
        // It had.
    }
}

/** Reads on without keeping anything, until the body or the client's patience ends, or enough was thrown away. */
export function discardRest(incoming: IncomingMessage): Promise<void> {
    return new Promise((resolve) => {
        let left = discardBytes;
        const timer = setTimeout(resolve, discardMilliseconds);
        const done = (): void => {
            clearTimeout(timer);
            resolve();
        };
        incoming.on("data", (part: Buffer) => {
            left -= part.length;
            if (left < 0) {
                incoming.pause();
                done();
            }
        });
        incoming.once("end", done).once("error", done).once("close", done);
        incoming.resume();
    });
}
