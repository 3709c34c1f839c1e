import type { TokenSelection } from "llama-steer";

/** A token of a sequence, as far as selections look at it. */
export interface SelectableToken {
    token: number;
    phase: "prompt" | "last-prompt" | "generated";
    /** Whether its logits are computed. */
    output: boolean;
    /** Position behind the end of the prompt that it lies in, where that is known. */
    promptEnd?: number;
}

/** Positions that a selection takes of a sequence, by the words of its documentation. Markers as token ids. */
export function selectedPositions(selection: TokenSelection, tokens: readonly SelectableToken[]): number[] {
    if (typeof selection === "object" && "between" in selection) {
        const [open, close] = selection.between.map((marker) => [...(marker as Int32Array)]);
        return insideMarkers(tokens, open as number[], close as number[], selection.withMarkers ?? false);
    }
    const takes = ({ phase, output, promptEnd = Number.NaN }: SelectableToken, position: number): boolean => {
        if (typeof selection === "object") {
            const wanted = [(selection as { positions: number | readonly number[] }).positions].flat();
            return wanted.some((each) => each === position || (each < 0 && promptEnd + each === position));
        }
        switch (selection) {
            case "all":
                return true;
            case "prompt":
                return phase !== "generated";
            case "last-prompt-and-generated":
                return phase !== "prompt";
            case "outputs":
                return output;
            default:
                return phase === selection;
        }
    };
    return tokens.flatMap((token, position) => (takes(token, position) ? [position] : []));
}

function insideMarkers(
    tokens: readonly SelectableToken[],
    open: readonly number[],
    close: readonly number[],
    withMarkers: boolean,
): number[] {
    const found: number[] = [];
    let inside = false;
    tokens.forEach((_, position) => {
        const endsWith = (marker: readonly number[]): boolean =>
            marker.every((each, i) => tokens[position + 1 - marker.length + i]?.token === each);
        if (endsWith(inside ? close : open)) {
            inside = !inside;
            found.push(...(withMarkers ? [position] : []));
        } else if (inside) {
            found.push(position);
        }
    });
    return found;
}
