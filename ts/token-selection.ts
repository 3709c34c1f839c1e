import { checkBoolean, checkObject, describe } from "./check.js";
import type { NativeSelection } from "./native.js";
import { SteerError } from "./steer-error.js";
import type { Tokenizer } from "./tokenizer.js";

/** Scopes that need nothing further, in the native order. */
const scopes = ["all", "prompt", "last-prompt", "generated", "last-prompt-and-generated", "outputs"] as const;
const positionsScope = scopes.length;
const betweenScope = scopes.length + 1;

/** Text, encoded with control tokens such as `<|im_end|>` read as such, or token ids. */
export type Marker = string | Int32Array;

/**
 * Which tokens of a sequence: the one language in which captures say what to keep and steering where to act.
 *
 * - `"all"`, all of the `"prompt"`, its last token (`"last-prompt"`, where the answer is decided), the tokens
 *   `"generated"` as an answer, or `"last-prompt-and-generated"`.
 * - `"outputs"`: the tokens whose logits are computed. They are those asked for, and those that a capture of chosen rows
 *   needs at the last block.
 * - `positions`, counted from the sequence's first token; negative ones from the end of the prompt they lie in, so that
 *   -1 is its last token.
 * - `between` two markers, such as the tags of a think block: tokens behind an opening marker, up to the closing one, or
 *   to the end if none comes. `withMarkers` takes the tokens that complete the markers too. Each token is decided by those
 *   before it: of a closing marker of several tokens only the last is known as such. Where steering has `required`, an
 *   answer that ends without the opening marker, in it or in its prompt, is rejected with MARKER_NOT_SEEN; its tokens have
 *   been delivered by then.
 */
export type TokenSelection =
    | (typeof scopes)[number]
    | { positions: number | readonly number[] }
    | { between: readonly [open: Marker, close: Marker]; withMarkers?: boolean; required?: boolean };

/** @internal Checked, and with markers as token ids. */
export function compileSelection(selection: TokenSelection, name: string, tokenizer: Tokenizer): NativeSelection {
    if (typeof selection === "string") {
        const scope = scopes.indexOf(selection);
        if (scope < 0) {
            const list = scopes.map((each) => `"${each}"`).join(", ");
            throw new SteerError(
                "INVALID_ARGUMENT",
                `${name} must be one of ${list}, { positions } or { between }, not ${describe(selection)}`,
            );
        }
        return { scope };
    }
    checkObject(selection, name);
    if ("positions" in selection === "between" in selection) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `${name} must say positions or between, one of them: ${name}: { positions: [0, -1] }`,
        );
    }
    if ("positions" in selection) {
        return { scope: positionsScope, positions: checkedPositions(selection.positions, name) };
    }
    const { between, withMarkers = false, required = false } = selection;
    checkBoolean(withMarkers, "withMarkers");
    checkBoolean(required, "required");
    if (!Array.isArray(between) || between.length !== 2) {
        throw new SteerError("INVALID_ARGUMENT", "between must be two markers: [open, close]");
    }
    const [open, close] = [markerTokens(between[0], tokenizer), markerTokens(between[1], tokenizer)];
    return { scope: betweenScope, open, close, withMarkers, required };
}

/** @internal How many tokens of each prompt a selection takes; undefined where that depends on the prompt. */
export function rowsPerPrompt(selection: TokenSelection): number | undefined {
    if (selection === "last-prompt") {
        return 1;
    }
    if (typeof selection === "object" && "positions" in selection) {
        return typeof selection.positions === "number" ? 1 : selection.positions.length;
    }
    return undefined;
}

function checkedPositions(positions: unknown, name: string): Int32Array {
    const list = typeof positions === "number" ? [positions] : positions;
    if (!Array.isArray(list) || list.length === 0) {
        throw new SteerError(
            "INVALID_ARGUMENT",
            `${name}: positions must be a whole number or a list of at least one, not ${describe(positions)}`,
        );
    }
    for (const position of list) {
        if (!Number.isInteger(position) || Math.abs(position) > 0x7fffffff) {
            throw new SteerError(
                "INVALID_ARGUMENT",
                `${name}: a position must be a whole number, not ${describe(position)}`,
            );
        }
    }
    if (new Set(list).size !== list.length) {
        throw new SteerError("INVALID_ARGUMENT", `${name} names one position twice: ${list.join(", ")}`);
    }
    return Int32Array.from(list);
}

function markerTokens(marker: unknown, tokenizer: Tokenizer): Int32Array {
    if (typeof marker !== "string" && !(marker instanceof Int32Array)) {
        throw new SteerError("INVALID_ARGUMENT", `a marker must be text or an Int32Array, not ${describe(marker)}`);
    }
    const tokens = typeof marker === "string" ? tokenizer.encode(marker, { parseSpecial: true }) : marker;
    if (tokens.length === 0) {
        throw new SteerError("INVALID_ARGUMENT", "a marker must be at least one token");
    }
    return tokens;
}
