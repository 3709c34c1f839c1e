/**
 * Every code a {@link SteerError} can carry. The native table (`cpp/base/error_codes.h`) is the source; a test holds
 * this list and `docs/errors.md` against it.
 */
export const steerErrorCodes = [
    "INVALID_ARGUMENT",
    "FILE_NOT_FOUND",
    "FILE_UNREADABLE",
    "MODEL_INVALID",
    "MODEL_UNSUPPORTED",
    "OUT_OF_MEMORY",
    "ABORTED",
    "DISPOSED",
    "CONTEXT_FULL",
    "PROMPT_EMPTY",
    "PROMPT_TOO_LONG",
    "TOO_MANY_SEQUENCES",
    "SEQUENCE_BUSY",
    "LAYER_OUT_OF_RANGE",
    "SITE_UNKNOWN",
    "WIDTH_MISMATCH",
    "NOT_FINITE",
    "BUFFER_TOO_SMALL",
    "BUFFER_DETACHED",
    "BUFFER_IN_USE",
    "CHAT_TEMPLATE_MISSING",
    "CHAT_TEMPLATE_FAILED",
    "NO_ROW_SELECTED",
    "DECODE_FAILED",
    "EMPTY_CLASS",
    "SINGULAR_MATRIX",
    "DATA_DAMAGED",
    "FILE_WRITE_FAILED",
    "FILE_IN_USE",
    "ZERO_VECTOR",
    "STEERING_CONFLICT",
    "NORMS_MISSING",
    "SCHEDULE_FAILED",
    "MARKER_NOT_SEEN",
    "GRAMMAR_INVALID",
    "NO_TOKEN_LEFT",
    "ADDON_MISSING",
    "VECTOR_MISMATCH",
    "VECTOR_NOT_ADDITIVE",
    "JUDGE_FAILED",
    "QUEUE_FULL",
    "CONSTRAINTS_UNMET",
    "ANSWERS_FAILED",
    "MODEL_MISMATCH",
    "INTERNAL",
] as const;

/** A stable name for what went wrong; `docs/errors.md` explains each. */
export type SteerErrorCode = (typeof steerErrorCodes)[number];

/**
 * The one error class of this package. Decide by `code`, which is stable; `message` is for people and says what to do.
 * Where another error or an abort reason led to it, that is in `cause`.
 */
export class SteerError extends Error {
    readonly code: SteerErrorCode;

    constructor(code: SteerErrorCode, message: string, options?: ErrorOptions) {
        super(message, options);
        this.name = "SteerError";
        this.code = code;
    }
}
