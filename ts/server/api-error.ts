import { SteerError, type SteerErrorCode } from "../index.js";

/** A failure as OpenAI's API tells it. */
export class ApiError extends Error {
    /** HTTP status. */
    readonly status: number;
    readonly code: string;
    /** The field of the body that is wrong. */
    readonly param: string | null;

    constructor(status: number, code: string, message: string, param: string | null = null) {
        super(message);
        this.name = "ApiError";
        this.status = status;
        this.code = code;
        this.param = param;
    }
}

/** What the client could have done better, and what it can only try again. All else is the server's own failure. */
const statuses: Partial<Record<SteerErrorCode, number>> = {
    INVALID_ARGUMENT: 400,
    PROMPT_EMPTY: 400,
    PROMPT_TOO_LONG: 400,
    CHAT_TEMPLATE_FAILED: 400,
    CHAT_TEMPLATE_MISSING: 400,
    GRAMMAR_INVALID: 400,
    NO_TOKEN_LEFT: 400,
    NOT_FINITE: 400,
    LAYER_OUT_OF_RANGE: 400,
    SITE_UNKNOWN: 400,
    STEERING_CONFLICT: 400,
    WIDTH_MISMATCH: 400,
    ZERO_VECTOR: 400,
    NORMS_MISSING: 400,
    MARKER_NOT_SEEN: 400,
    VECTOR_MISMATCH: 400,
    DATA_DAMAGED: 400,
    NO_ROW_SELECTED: 400,
    BUFFER_TOO_SMALL: 400,
    QUEUE_FULL: 429,
    ABORTED: 503,
    DISPOSED: 503,
    CONTEXT_FULL: 503,
    OUT_OF_MEMORY: 503,
};
/** Names that OpenAI's clients look for. */
const wellKnown: Partial<Record<SteerErrorCode, string>> = {
    PROMPT_TOO_LONG: "context_length_exceeded",
    QUEUE_FULL: "rate_limit_exceeded",
};

/** Any failure as one to tell the client. What is not the client's doing tells nothing of the server. */
export function apiErrorOf(error: unknown): ApiError {
    if (error instanceof ApiError) {
        return error;
    }
    const status = error instanceof SteerError ? statuses[error.code] : undefined;
    if (!(error instanceof SteerError) || status === undefined) {
        return new ApiError(500, "internal_error", "the server failed at this request");
    }
    return new ApiError(status, wellKnown[error.code] ?? error.code, error.message);
}

const types = new Map([
    [401, "authentication_error"],
    [404, "not_found_error"],
    [429, "rate_limit_error"],
]);

/** The body of an error response, and of an error within a stream. */
export function errorBody({ status, code, message, param }: ApiError): object {
    const type = types.get(status) ?? (status < 500 ? "invalid_request_error" : "server_error");
    return { error: { message, type, param, code } };
}

export function errorResponse(error: ApiError): Response {
    const headers: Record<string, string> = {};
    if (error.status === 401) {
        headers["www-authenticate"] = "Bearer";
    }
    if (error.status === 429 || error.status === 503) {
        headers["retry-after"] = "1";
    }
    return Response.json(errorBody(error), { status: error.status, headers });
}
