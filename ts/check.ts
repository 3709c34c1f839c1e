import { SteerError } from "./steer-error.js";

// For callers without types: what has the wrong type is refused before anything is done with it.

/** Refuses what is not an object with named properties. */
export function checkObject(value: unknown, name: string): asserts value is object {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
        throw new SteerError("INVALID_ARGUMENT", `${name} must be an object, not ${describe(value)}`);
    }
}

/** Refuses what is not a string. */
export function checkString(value: unknown, name: string): asserts value is string {
    if (typeof value !== "string") {
        throw new SteerError("INVALID_ARGUMENT", `${name} must be a string, not ${describe(value)}`);
    }
}

/** Refuses what is neither true nor false. */
export function checkBoolean(value: unknown, name: string): asserts value is boolean {
    if (typeof value !== "boolean") {
        throw new SteerError("INVALID_ARGUMENT", `${name} must be true or false, not ${describe(value)}`);
    }
}

/** Refuses what cannot count things: a whole number of 1 or more. */
export function checkCount(value: unknown, name: string): asserts value is number {
    if (!Number.isInteger(value) || (value as number) < 1 || (value as number) > 0x7fffffff) {
        throw new SteerError("INVALID_ARGUMENT", `${name} must be a whole number of 1 or more, not ${describe(value)}`);
    }
}

/** Refuses what cannot be the number of a layer. */
export function checkLayer(value: unknown, name: string): asserts value is number {
    if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > 0x7fffffff) {
        throw new SteerError("INVALID_ARGUMENT", `${name} must be a whole number of 0 or more, not ${describe(value)}`);
    }
}

/** Refuses what is not a token id; whether the vocabulary has it is for the native side to say. */
export function checkToken(value: unknown, name: string): asserts value is number {
    if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > 0x7fffffff) {
        throw new SteerError("INVALID_ARGUMENT", `${name} must be a token id, not ${describe(value)}`);
    }
}

/** Refuses what is not one of `allowed`. */
export function checkOneOf<Value extends string>(
    value: unknown,
    allowed: readonly Value[],
    name: string,
): asserts value is Value {
    if (!allowed.includes(value as Value)) {
        const list = allowed.map((each) => `"${each}"`).join(", ");
        throw new SteerError("INVALID_ARGUMENT", `${name} must be one of ${list}, not ${describe(value)}`);
    }
}

/** Refuses what is neither undefined nor an AbortSignal. */
export function checkSignal(signal: unknown): asserts signal is AbortSignal | undefined {
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
        throw new SteerError("INVALID_ARGUMENT", "signal must be an AbortSignal");
    }
}

/** Refuses what is no finite number, or none as a 32-bit float. */
export function checkFinite(value: unknown, name: string): asserts value is number {
    if (typeof value !== "number") {
        throw new SteerError("INVALID_ARGUMENT", `${name} must be a number, not ${describe(value)}`);
    }
    if (!Number.isFinite(Math.fround(value))) {
        throw new SteerError("NOT_FINITE", `${name} must be finite as a 32-bit float, not ${value}`);
    }
}

/** A value as a person would write it, shortened. */
export function describe(value: unknown): string {
    if (typeof value === "string") {
        return JSON.stringify(value.slice(0, 40));
    }
    try {
        return String(value).slice(0, 40);
    } catch {
        return `something of type ${typeof value}`;
    }
}
