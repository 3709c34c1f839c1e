import { ApiError } from "./api-error.js";

/** Levels of objects and lists within each other. What walks them may call itself once for each. */
const deepest = 256;

const quote = 0x22;
const backslash = 0x5c;

/**
 * Parses JSON more strictly than `JSON.parse`. Of a name that comes twice, one reader takes the first value and another the last,
 * so that a proxy may have checked what is not used here; and `__proto__` has a meaning of its own in JavaScript. Neither is
 * taken, nor what is nested deeper than anything that a request can be.
 *
 * @throws SyntaxError for what is no JSON, ApiError 400 naming what is refused
 */
export function parseJson(text: string): unknown {
    const value: unknown = JSON.parse(text);
    checkNames(text);
    return value;
}

/** Goes through the text of a valid document once, without recursion. */
function checkNames(text: string): void {
    /** Names seen in each open object; undefined for a list. */
    const open: (Set<string> | undefined)[] = [];
    for (let at = 0; at < text.length; at++) {
        switch (text[at]) {
            case "{":
            case "[":
                open.push(text[at] === "{" ? new Set() : undefined);
                if (open.length > deepest) {
                    throw new ApiError(400, "invalid_json", `the body is nested more than ${deepest} deep`);
                }
                break;
            case "}":
            case "]":
                open.pop();
                break;
            case '"': {
                const end = endOfString(text, at);
                const names = open.at(-1);
                if (names !== undefined && followedByColon(text, end)) {
                    checkName(text.slice(at, end), names);
                }
                at = end - 1;
                break;
            }
        }
    }
}

function checkName(quoted: string, names: Set<string>): void {
    // Escapes must not hide what it is.
    const name = quoted.includes("\\") ? (JSON.parse(quoted) as string) : quoted.slice(1, -1);
    const shown = name.slice(0, 100);
    if (name === "__proto__") {
        throw new ApiError(400, "invalid_json", `${shown} is no name that this server takes`, shown);
    }
    if (names.has(name)) {
        throw new ApiError(400, "invalid_json", `${shown} is given twice in one object: give it once`, shown);
    }
    names.add(name);
}

/** Behind the closing quote of a string that begins at `at`. */
function endOfString(text: string, at: number): number {
    let i = at + 1;
    while (text.charCodeAt(i) !== quote) {
        i += text.charCodeAt(i) === backslash ? 2 : 1;
    }
    return i + 1;
}

/** In an object, what a colon follows is a name, and not a value. */
function followedByColon(text: string, at: number): boolean {
    let i = at;
    while (text[i] === " " || text[i] === "\n" || text[i] === "\r" || text[i] === "\t") {
        i++;
    }
    return text[i] === ":";
}
