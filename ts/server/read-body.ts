import { ApiError } from "./api-error.js";
import { parseJson } from "./json-text.js";

export interface BodyLimits {
    /** Bytes that a body may have. */
    bodyBytes: number;
    /** Time that it may take to arrive. */
    bodyMilliseconds: number;
}

/**
 * The bytes of a body, read no further than allowed.
 *
 * @throws ApiError 400 (it breaks off), 408, 413
 */
export async function readBytes(request: Request, limits: BodyLimits): Promise<Uint8Array> {
    const tooLarge = new ApiError(413, "body_too_large", `a body may have ${limits.bodyBytes} bytes`);
    if (Number(request.headers.get("content-length") ?? 0) > limits.bodyBytes) {
        throw tooLarge;
    }
    const reader = request.body?.getReader();
    if (reader === undefined) {
        return new Uint8Array(0);
    }
    const parts: Uint8Array[] = [];
    let length = 0;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
        const error = new ApiError(408, "body_too_slow", "the body took too long to arrive");
        timer = setTimeout(() => reject(error), limits.bodyMilliseconds);
    });
    try {
        for (;;) {
            const { done, value } = await Promise.race([reader.read(), late]);
            if (done) {
                break;
            }
            length += value.length;
            if (length > limits.bodyBytes) {
                throw tooLarge;
            }
            parts.push(value);
        }
    } catch (error) {
        reader.cancel().catch(() => {});
        throw error instanceof ApiError ? error : new ApiError(400, "body_incomplete", "the body broke off");
    } finally {
        clearTimeout(timer);
    }
    return Buffer.concat(parts);
}

/**
 * A JSON body.
 *
 * @throws ApiError 400, 408, 413, 415
 */
export async function readJson(request: Request, limits: BodyLimits): Promise<unknown> {
    // Nor can a page of another site send this type without asking first.
    if (!/^application\/json\s*(;|$)/i.test(request.headers.get("content-type") ?? "")) {
        throw new ApiError(415, "not_json", "the body must be JSON: content-type: application/json");
    }
    const bytes = await readBytes(request, limits);
    try {
        return parseJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch (error) {
        if (error instanceof ApiError) {
            throw error;
        }
        throw new ApiError(400, "invalid_json", "the body is not JSON in UTF-8");
    }
}
