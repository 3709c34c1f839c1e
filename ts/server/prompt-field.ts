import { checkedBy, type Fault } from "./checked-body.js";

const largestToken = 0x7fffffff;

type Prompt = string | number[];

/** The `prompt` field of text completions: text, tokens, or a list of either. */
export const promptSchema = checkedBy<string | number[] | Prompt[]>((value) => {
    if (typeof value === "string") {
        return undefined;
    }
    if (!Array.isArray(value) || value.length === 0) {
        return { path: [], message: "must be text, tokens, or a list of either" };
    }
    // The first element tells what kind of list it is meant to be.
    if (typeof value[0] === "number") {
        return tokensFault(value);
    }
    return Array.isArray(value[0]) ? tokenListsFault(value) : textsFault(value);
});

/** The prompts of a field that was checked. */
export function promptsOf(prompt: string | number[] | Prompt[]): (string | Int32Array)[] {
    const list =
        typeof prompt === "string" || typeof prompt[0] === "number" ? [prompt as Prompt] : (prompt as Prompt[]);
    return list.map((each) => (typeof each === "string" ? each : Int32Array.from(each)));
}

/** What is wrong with a list of token ids. Whether a vocabulary has them is for the model to say. */
export function tokensFault(list: readonly unknown[]): Fault | undefined {
    const wrong = list.findIndex(
        (each) => !Number.isInteger(each) || (each as number) < 0 || (each as number) > largestToken,
    );
    if (list.length > 0 && wrong < 0) {
        return undefined;
    }
    return { path: wrong < 0 ? [] : [wrong], message: "a prompt of numbers must be token ids" };
}

function tokenListsFault(lists: readonly unknown[]): Fault | undefined {
    for (const [i, each] of lists.entries()) {
        const fault = Array.isArray(each)
            ? tokensFault(each)
            : { path: [], message: "must be tokens like those before" };
        if (fault !== undefined) {
            return { path: [i, ...fault.path], message: fault.message };
        }
    }
    return undefined;
}

function textsFault(list: readonly unknown[]): Fault | undefined {
    const wrong = list.findIndex((each) => typeof each !== "string");
    return wrong < 0 ? undefined : { path: [wrong], message: "must be text" };
}
