import { Template } from "@huggingface/jinja";
import { checkBoolean, checkObject, describe } from "./check.js";
import { SteerError } from "./steer-error.js";

/** One turn of a conversation. */
export interface ChatMessage {
    role: "system" | "user" | "assistant" | (string & {});
    content: string;
}

export interface ChatTemplateOptions {
    /** End with the opening of the assistant's turn. Default true. */
    addGenerationPrompt?: boolean;
    /** Further variables for the template, such as `enable_thinking`. */
    variables?: Record<string, unknown>;
}

/** A model's chat template (Jinja), compiled once. */
export class ChatTemplate {
    readonly #template: Template;
    readonly #constants: Record<string, string>;

    /** The Jinja source. */
    readonly source: string;

    /**
     * @param constants values for `bos_token` and `eos_token`
     * @throws SteerError CHAT_TEMPLATE_MISSING for an empty source, CHAT_TEMPLATE_FAILED if it does not parse
     */
    constructor(source: string, constants: Record<string, string> = {}) {
        if (source === "") {
            throw new SteerError(
                "CHAT_TEMPLATE_MISSING",
                "the model file carries no chat template: give the prompt as text or tokens instead of messages",
            );
        }
        this.source = source;
        this.#constants = constants;
        this.#template = attempt("does not parse", () => new Template(source));
    }

    /**
     * The text the model expects for a conversation.
     *
     * @throws SteerError CHAT_TEMPLATE_FAILED where the template refuses, INVALID_ARGUMENT
     */
    render(messages: readonly ChatMessage[], options: ChatTemplateOptions = {}): string {
        checkMessages(messages);
        checkObject(options, "options");
        const { addGenerationPrompt = true, variables = {} } = options;
        checkBoolean(addGenerationPrompt, "addGenerationPrompt");
        checkObject(variables, "variables");
        return attempt("refused these messages", () =>
            this.#template.render({
                ...this.#constants,
                ...variables,
                messages,
                add_generation_prompt: addGenerationPrompt,
            }),
        );
    }
}

function attempt<Result>(what: string, run: () => Result): Result {
    try {
        return run();
    } catch (cause) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw new SteerError("CHAT_TEMPLATE_FAILED", `the model's chat template ${what}: ${reason}`, { cause });
    }
}

function checkMessages(messages: unknown): void {
    if (!Array.isArray(messages)) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `a prompt must be text, an Int32Array of tokens, or an array of { role, content }, not ${describe(messages)}`,
        );
    }
    if (messages.length === 0) {
        throw new SteerError("PROMPT_EMPTY", "there are no messages: give at least one { role, content }");
    }
    for (const message of messages) {
        if (typeof message?.role !== "string" || typeof message?.content !== "string") {
            throw new SteerError("INVALID_ARGUMENT", `a message must be { role, content }, not ${describe(message)}`);
        }
    }
}
