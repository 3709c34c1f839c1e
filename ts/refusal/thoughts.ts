import { z } from "zod";

/** What encloses the reasoning of a model that thinks before it answers. */
export interface ThoughtMarkers {
    open: string;
    close: string;
}

export const thoughtMarkers = z.array(z.object({ open: z.string().min(1), close: z.string().min(1) }));

/** Those of most models that think: `<think>` ... `</think>` and two relatives. */
export const defaultThoughtMarkers: readonly ThoughtMarkers[] = [
    { open: "<think>", close: "</think>" },
    { open: "<thinking>", close: "</thinking>" },
    { open: "[THINK]", close: "[/THINK]" },
];

/** An answer without its reasoning. */
export interface ThoughtSplit {
    text: string;
    /** Undefined where the model did not think. */
    thought?: string;
    /** The answer was cut off before the thought was closed: there is no answer. */
    unfinished?: true;
}

/**
 * Takes the reasoning off an answer: up to the last closing marker, whether or not it holds the opening one (many chat
 * templates open the block in the prompt); all of it, where a block is opened and never closed.
 */
export function splitThought(raw: string, markers: readonly ThoughtMarkers[] = defaultThoughtMarkers): ThoughtSplit {
    for (const { open, close } of markers) {
        const closed = raw.lastIndexOf(close);
        const rest = closed < 0 ? raw : raw.slice(closed + close.length);
        // One that is mentioned in the middle of an answer opens nothing.
        if (rest.trimStart().startsWith(open)) {
            return { text: "", thought: without(raw, open), unfinished: true };
        }
        if (closed >= 0) {
            return { text: rest.trim(), thought: without(raw.slice(0, closed), open) };
        }
    }
    return { text: raw };
}

function without(thought: string, open: string): string {
    const text = thought.trim();
    return (text.startsWith(open) ? text.slice(open.length) : text).trim();
}
