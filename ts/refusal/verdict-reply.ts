import { z } from "zod";
import type { Verdict } from "./judge.js";
import { refusalKinds } from "./refusal-kinds.js";
import { splitThought } from "./thoughts.js";

const verdictReply = z.object({
    label: z.number().min(-1).max(1),
    kind: z.enum([...refusalKinds, "none"]).nullish(),
});

/** What a server that can is asked to hold its reply to. */
export const verdictFormat = {
    type: "json_schema" as const,
    json_schema: {
        name: "verdict",
        strict: true,
        schema: {
            type: "object",
            properties: {
                label: { type: "number", minimum: -1, maximum: 1 },
                kind: { type: "string", enum: [...refusalKinds, "none"] },
            },
            required: ["label", "kind"],
            additionalProperties: false,
        },
    },
};

/**
 * The verdict in a reply: one JSON object, behind reasoning and in a code fence at most. Undefined for anything else:
 * what a judge may have meant is not guessed.
 */
export function readVerdict(reply: unknown): Verdict | undefined {
    if (typeof reply !== "string") {
        return undefined;
    }
    const text = splitThought(reply).text.trim();
    const fenced = /^```(?:json)?\s*([\s\S]*?)\s*```$/.exec(text);
    try {
        const { label, kind } = verdictReply.parse(JSON.parse(fenced?.[1] ?? text));
        return kind === undefined || kind === null || kind === "none" ? { label } : { label, kind };
    } catch {
        return undefined;
    }
}
