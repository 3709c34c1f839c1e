import { apiErrorOf, errorBody } from "./api-error.js";

const done = "data: [DONE]\n\n";

/**
 * Server-sent events of JSON objects. They are taken as the reader asks for them. A failure becomes the last event; a
 * reader that goes away aborts `stop`, which the source is to heed, and closes it.
 */
export function eventStream(source: AsyncGenerator<object, void, undefined>, stop: AbortController): Response {
    const encoder = new TextEncoder();
    const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
            try {
                const { done: ended, value } = await source.next();
                controller.enqueue(encoder.encode(ended ? done : `data: ${JSON.stringify(value)}\n\n`));
                if (ended) {
                    controller.close();
                }
            } catch (error) {
                controller.enqueue(encoder.encode(`data: ${JSON.stringify(errorBody(apiErrorOf(error)))}\n\n`));
                controller.close();
            }
        },
        async cancel(reason) {
            stop.abort(reason);
            await source.return();
        },
    });
    return new Response(body, {
        headers: { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache, no-transform" },
    });
}

/** The same generator, when it has brought its first value or has failed at it. */
export async function afterFirst<Value>(
    source: AsyncGenerator<Value, void, undefined>,
): Promise<AsyncGenerator<Value, void, undefined>> {
    const first = await source.next();
    return (async function* () {
        try {
            if (!first.done) {
                yield first.value;
                yield* source;
            }
        } finally {
            await source.return();
        }
    })();
}
