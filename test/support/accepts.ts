// What parameters accept, for sweeps over values of every type.

/** What the types forbid is exactly what is tested. */
export type Anything = never;

/** A parameter: which values of `everyType` it accepts, and a call that is given one. */
export type Case = readonly [name: string, accepts: (value: unknown) => boolean, call: (wrong: Anything) => unknown];

export const isString = (value: unknown): boolean => typeof value === "string";
export const isNumber = (value: unknown): boolean => typeof value === "number";
export const isBoolean = (value: unknown): boolean => typeof value === "boolean";
export const isFunction = (value: unknown): boolean => typeof value === "function";
export const isCount = (value: unknown): boolean =>
    Number.isInteger(value) && (value as number) > 0 && (value as number) < 2 ** 31;
export const isIndex = (value: unknown): boolean => value === 0 || isCount(value);
export const isFloats = (value: unknown): boolean => value instanceof Float32Array;
export const isSignal = (value: unknown): boolean => value instanceof AbortSignal;
export const isArray = (value: unknown): boolean => Array.isArray(value);
export const isTokens = (value: unknown): boolean => Array.isArray(value) && value.every(isIndex);
export const isOptions = (value: unknown): boolean =>
    typeof value === "object" && value !== null && !Array.isArray(value);
export const isPrompt = (value: unknown): boolean => isString(value) || value instanceof Int32Array;
export const never = (): boolean => false;
export const isWhole = (value: unknown): boolean => Number.isInteger(value) && Math.abs(value as number) < 2 ** 31;
export const isWholes = (value: unknown): boolean => Array.isArray(value) && value.every(isWhole);
