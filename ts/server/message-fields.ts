import { z } from "zod";
import type { ChatMessage } from "../index.js";
import { checkedBy, type Fault } from "./checked-body.js";

type Content = string | { type: "text"; text: string }[];

const content = checkedBy<Content>((value) => {
    if (typeof value === "string") {
        return undefined;
    }
    if (!Array.isArray(value)) {
        return { path: [], message: "must be text, or a list of parts with text" };
    }
    for (const [i, part] of value.entries()) {
        const fault = partFault(part);
        if (fault !== undefined) {
            return { path: [i, ...fault.path], message: fault.message };
        }
    }
    return undefined;
});

function partFault(part: unknown): Fault | undefined {
    if (typeof part !== "object" || part === null || Array.isArray(part)) {
        return { path: [], message: "must be a part with text" };
    }
    const { type, text, ...others } = part as Record<string, unknown>;
    if (type !== "text") {
        return { path: ["type"], message: "only text is supported" };
    }
    if (typeof text !== "string") {
        return { path: ["text"], message: "must be text" };
    }
    const [unknown] = Object.keys(others);
    return unknown === undefined ? undefined : { path: [unknown], message: "there is no such field here" };
}

/** Empty as in every answer of OpenAI's API that goes back as a message; anything in it is refused. */
const empty = z.union([z.null(), z.array(z.never()).max(0)], "is not supported here").optional();

export const messagesSchema = z
    .array(
        z.strictObject({
            role: z.enum(["system", "developer", "user", "assistant"]),
            content,
            name: z.string().nullish(),
            refusal: empty,
            annotations: empty,
            audio: empty,
            function_call: empty,
            tool_calls: empty,
        }),
    )
    .min(1)
    .max(4096);

/** The messages as a chat template takes them. */
export function messagesOf(messages: z.output<typeof messagesSchema>): ChatMessage[] {
    return messages.map(({ role, content: parts }) => ({
        role: role === "developer" ? "system" : role,
        content: typeof parts === "string" ? parts : parts.map(({ text }) => text).join(""),
    }));
}
