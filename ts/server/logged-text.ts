import type { ChatMessage, Tokenizer } from "../index.js";
import type { ScheduledAnswer } from "./scheduled-answer.js";

/** Characters of a prompt or an answer that a log keeps. */
const most = 4096;

/** A prompt or an answer, as a log has it. */
export interface LoggedText {
    /** Where it was cut, its beginning and its end. */
    text: string;
    /** Characters that were left out in the middle. */
    cut?: number;
}

/** What was said in one request, for logs that are to have it. */
export class Conversation {
    #prompts: readonly LoggedText[] = [];
    #answers: readonly ScheduledAnswer[] = [];

    /** Tells what was asked, before anything is done about it. */
    ask(prompts: readonly (string | readonly ChatMessage[] | Int32Array)[], tokenizer: Tokenizer): void {
        this.#prompts = prompts.map((prompt) => loggedText(textOf(prompt, tokenizer)));
    }

    /** Tells where the answers will be. */
    answer(answers: readonly ScheduledAnswer[]): void {
        this.#answers = answers;
    }

    /** When all answers have ended, however they ended. */
    async ended(): Promise<void> {
        await Promise.allSettled(this.#answers.map((each) => each.result()));
    }

    /** What was said so far; nothing where nothing was asked. Answers that did not begin are empty. */
    get said(): { prompts?: readonly LoggedText[]; answers?: readonly LoggedText[] } {
        if (this.#prompts.length === 0) {
            return {};
        }
        const answers = this.#answers.map(({ tokens }) => loggedText(tokens.map(({ text }) => text).join("")));
        return { prompts: this.#prompts, answers };
    }
}

/** The ends of long prompts matter as well as their beginnings: there is the question. */
export function loggedText(text: string): LoggedText {
    const cut = text.length - most;
    return cut <= 0 ? { text } : { text: `${text.slice(0, most / 2)}[...]${text.slice(-most / 2)}`, cut };
}

function textOf(prompt: string | readonly ChatMessage[] | Int32Array, tokenizer: Tokenizer): string {
    if (typeof prompt === "string") {
        return prompt;
    }
    if (!(prompt instanceof Int32Array)) {
        return prompt.map(({ role, content }) => `${role}: ${content}`).join("\n");
    }
    const known = prompt.every((token) => token < tokenizer.vocabularySize);
    return known ? tokenizer.decode(prompt, { special: true }) : "";
}
