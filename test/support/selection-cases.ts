import {
    type Anything,
    type Case,
    isArray,
    isBoolean,
    isNumber,
    isString,
    isWhole,
    isWholes,
    never,
} from "./accepts.js";

/** What stands inside a selection of tokens. */
export function selectionCases(name: string, select: (selection: Anything) => unknown): Case[] {
    const marker = Int32Array.of(1);
    const isMarker = (value: unknown): boolean => (isString(value) && value !== "") || value instanceof Int32Array;
    const given = (selection: object): unknown => select(selection as Anything);
    return [
        [`${name}: positions`, (value) => isWhole(value) || isWholes(value), (positions) => given({ positions })],
        [`${name}: a position`, isWhole, (wrong) => given({ positions: [wrong] })],
        [`${name}: between`, never, (between) => given({ between })],
        [`${name}: a first marker`, isMarker, (wrong) => given({ between: [wrong, marker] })],
        [`${name}: a second marker`, isMarker, (wrong) => given({ between: [marker, wrong] })],
        [`${name}: withMarkers`, isBoolean, (withMarkers) => given({ between: [marker, marker], withMarkers })],
    ];
}

/** What stands inside a selection of layers. */
export function layerCases(name: string, select: (selection: Anything) => unknown): Case[] {
    const given = (selection: object): unknown => select(selection as Anything);
    return [
        [`${name}: from`, isNumber, (from) => given({ from })],
        [`${name}: to`, isNumber, (to) => given({ to })],
        [`${name}: depth`, isArray, (depth) => given({ depth })],
        [`${name}: a depth`, never, (wrong) => given({ depth: [wrong] })],
        [`${name}: depth from`, never, (from) => given({ depth: { from } })],
        [`${name}: depth to`, never, (to) => given({ depth: { to } })],
    ];
}
