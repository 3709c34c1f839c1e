// The one table of error codes: docs/errors.md, the binding's SteerError codes and the TypeScript union are checked
// against it. Each entry is X(NAME, "one-line meaning"). A name, once released, keeps its meaning; new ones go last but
// before INTERNAL.
#pragma once

#define LLAMA_STEER_ERROR_CODES(X)                                                                                     \
    X(INVALID_ARGUMENT, "an argument has the wrong type or lies outside its range")                                    \
    X(FILE_NOT_FOUND, "the path does not exist")                                                                       \
    X(FILE_UNREADABLE, "the path exists but cannot be read as a file")                                                 \
    X(MODEL_INVALID, "the file is not a complete, well-formed model")                                                  \
    X(MODEL_UNSUPPORTED, "the model is well-formed but its architecture or kind is not supported")                     \
    X(OUT_OF_MEMORY, "the memory needed could not be had, or exceeds the budget given")                                \
    X(ABORTED, "the operation was stopped by its AbortSignal or abort callback")                                       \
    X(DISPOSED, "the object was used after it was disposed")                                                           \
    X(CONTEXT_FULL, "the context has no room left for the tokens to come")                                             \
    X(PROMPT_EMPTY, "the prompt has no tokens")                                                                        \
    X(PROMPT_TOO_LONG, "the prompt has more tokens than the context can hold")                                         \
    X(TOO_MANY_SEQUENCES, "more sequences were asked for than the context was made with")                              \
    X(SEQUENCE_BUSY, "the sequence is already taking part in an operation")                                            \
    X(LAYER_OUT_OF_RANGE, "the model has no layer of that number")                                                     \
    X(SITE_UNKNOWN, "the model's compute graph has no site of that name")                                              \
    X(WIDTH_MISMATCH, "a vector or matrix has another width than the one it must fit")                                 \
    X(NOT_FINITE, "a value is NaN or infinite")                                                                        \
    X(BUFFER_TOO_SMALL, "the buffer given is smaller than what must be written to it")                                 \
    X(BUFFER_DETACHED, "the buffer given is detached")                                                                 \
    X(BUFFER_IN_USE, "the buffer given is lent to another operation")                                                  \
    X(CHAT_TEMPLATE_MISSING, "the model carries no chat template and none was given")                                  \
    X(CHAT_TEMPLATE_FAILED, "the chat template could not be parsed or rendered")                                       \
    X(NO_ROW_SELECTED, "nothing of what is evaluated matches the rows to be captured")                                 \
    X(DECODE_FAILED, "the model's forward pass failed")                                                                \
    X(EMPTY_CLASS, "a class of the fit has no samples of positive weight")                                             \
    X(SINGULAR_MATRIX, "the matrix to be factored is not positive definite")                                           \
    X(DATA_DAMAGED, "stored data is damaged, incomplete or not of this kind")                                          \
    X(FILE_WRITE_FAILED, "a file could not be written completely")                                                     \
    X(FILE_IN_USE, "another writer holds the file")                                                                    \
    X(ZERO_VECTOR, "a direction is zero, so it has no orientation")                                                    \
    X(STEERING_CONFLICT, "interventions contradict each other")                                                        \
    X(NORMS_MISSING, "strengths in norm units were asked of a vector that knows no norms")                             \
    X(SCHEDULE_FAILED, "a schedule function threw or did not return a finite number")                                  \
    X(MARKER_NOT_SEEN, "an answer ended without the marker that steering needed")                                      \
    X(GRAMMAR_INVALID, "the grammar could not be parsed")                                                              \
    X(NO_TOKEN_LEFT, "the grammar and the biases together leave no token to choose")                                   \
    X(ADDON_MISSING, "no compiled addon was found for this platform")                                                  \
    X(VECTOR_MISMATCH, "the vector was made for another model")                                                        \
    X(VECTOR_NOT_ADDITIVE, "the vector is for another operation than adding")                                          \
    X(JUDGE_FAILED, "a judge cannot be reached or gives no verdict")                                                   \
    X(QUEUE_FULL, "as many requests wait as the queue may hold")                                                       \
    X(CONSTRAINTS_UNMET, "no setting that a search tried keeps the constraints")                                       \
    X(ANSWERS_FAILED, "an endpoint that answers cannot be reached or gives no usable answer")                          \
    X(MODEL_MISMATCH, "an endpoint answers with another model than the one that is steered")                           \
    X(INTERNAL, "an invariant of the library failed: please report it")
