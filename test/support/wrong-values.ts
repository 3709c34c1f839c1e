/** One value of every type that JavaScript has, and objects that fight back, each with a name for messages. */
export const everyType: readonly (readonly [string, unknown])[] = [
    ["null", null],
    ["true", true],
    ["a number", 7],
    ["a fraction", 1.5],
    ["a negative number", -1],
    ["NaN", Number.NaN],
    ["infinity", Number.POSITIVE_INFINITY],
    ["a huge number", 2 ** 53],
    ["an empty string", ""],
    ["a string", "text"],
    ["a bigint", 3n],
    ["a symbol", Symbol("wrong")],
    ["a function", () => 1],
    ["a class", class {}],
    ["an object", {}],
    ["an object without prototype", Object.create(null)],
    ["an array", [1]],
    ["an array of nothing", [undefined]],
    ["an array of symbols", [Symbol("element")]],
    ["a typed array", new Uint8Array(4)],
    ["a float array", new Float32Array(4)],
    ["a float64 array", new Float64Array(4)],
    ["an integer array", new Int32Array(4)],
    ["a detached array", detached()],
    ["a buffer", new ArrayBuffer(8)],
    ["a map", new Map([["key", "value"]])],
    ["a set", new Set([1])],
    ["a date", new Date(0)],
    ["a promise", Promise.resolve(1)],
    ["an abort signal", new AbortController().signal],
    ["an error", new Error("as a value")],
];

/** Values of every type but those that `accepted` says are right. */
export function wrongValues(accepted: (value: unknown) => boolean): (readonly [string, unknown])[] {
    return everyType.filter(([, value]) => !accepted(value));
}

/** An object whose every property throws. */
export function hostileObject(error: Error): object {
    return new Proxy(
        {},
        {
            get() {
                throw error;
            },
            ownKeys() {
                throw error;
            },
        },
    );
}

function detached(): Float32Array {
    const array = new Float32Array(4);
    structuredClone(array.buffer, { transfer: [array.buffer] });
    return array;
}
