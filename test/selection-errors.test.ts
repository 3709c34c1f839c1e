import test from "ava";
import { SteeringVector, type TokenSelection } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { chatContext } from "./support/testbed.js";

const marker = Int32Array.of(1);
const wrong: readonly [what: string, selection: unknown, message: RegExp][] = [
    ["an unknown word", "first", /"last-prompt", "generated"/],
    ["a word in other letters", "Last-Prompt", /one of/],
    ["an empty word", "", /one of/],
    ["a number", 3, /object/],
    ["a list", [0, -1], /object/],
    ["null", null, /object/],
    ["no key", {}, /positions or between/],
    ["another key", { position: 3 }, /positions or between/],
    ["both keys", { positions: [0], between: [marker, marker] }, /positions or between/],
    ["positions that are undefined", { positions: undefined }, /positions/],
    ["no positions", { positions: [] }, /at least one/],
    ["a fraction", { positions: 1.5 }, /whole number/],
    ["a fraction in a list", { positions: [0, 0.5] }, /whole number, not 0.5/],
    ["NaN", { positions: Number.NaN }, /whole number/],
    ["infinity", { positions: [Number.NEGATIVE_INFINITY] }, /whole number/],
    ["a position beyond 32 bits", { positions: [2 ** 31] }, /whole number/],
    ["a position far below 32 bits", { positions: -(2 ** 53) }, /whole number/],
    ["text as a position", { positions: "0" }, /positions/],
    ["text in a list of positions", { positions: ["0"] }, /whole number/],
    ["a bigint", { positions: [1n] }, /whole number/],
    ["a list with a hole", { positions: Array(2) }, /whole number/],
    ["a typed array", { positions: Int32Array.of(1) }, /positions/],
    ["a position twice", { positions: [2, 5, 2] }, /twice: 2, 5, 2/],
    ["zero twice", { positions: [0, -0] }, /twice/],
    ["one marker", { between: [marker] }, /two markers/],
    ["three markers", { between: [marker, marker, marker] }, /two markers/],
    ["text for two markers", { between: "ab" }, /two markers/],
    ["between that is undefined", { between: undefined }, /two markers/],
    ["markers in an object", { between: { open: marker, close: marker } }, /two markers/],
    ["an empty text", { between: ["", marker] }, /at least one token/],
    ["an empty marker", { between: [marker, new Int32Array(0)] }, /at least one token/],
    ["a marker that is a number", { between: [1, marker] }, /text or an Int32Array/],
    ["a marker that is a list", { between: [marker, [1]] }, /text or an Int32Array/],
    ["markers of other integers", { between: [marker, Uint32Array.of(1)] }, /text or an Int32Array/],
    ["a marker that is null", { between: [null, marker] }, /text or an Int32Array/],
    ["a hole for markers", { between: Array(2) }, /text or an Int32Array/],
    ["withMarkers that is text", { between: [marker, marker], withMarkers: "yes" }, /true or false/],
    ["withMarkers that is null", { between: [marker, marker], withMarkers: null }, /true or false/],
];

test("wrong selections of rows are refused before anything is captured", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const into = new Float32Array(8 * 128 * 4);
    for (const [what, rows, message] of wrong) {
        const capture = { rows: rows as TokenSelection, into };
        const error = await expectCode(t, "INVALID_ARGUMENT", () => context.capture(capture), message);
        t.regex(error?.message ?? "", /rows|between|marker/i, what);
        const generate = (): unknown => sequence.generate(marker, { maxTokens: 1, capture });
        await expectCode(t, "INVALID_ARGUMENT", generate, message);
    }
    t.is(sequence.position, 0);
    await sequence.evaluate(Int32Array.of(1, 2));
    t.true(
        into.every((each) => each === 0),
        "no capture was left behind",
    );
    await context.capture({ into }).dispose();
    await sequence.generate(marker, { maxTokens: 1, capture: { into } }).result();
    await context.dispose();
});

test("wrong selections of tokens are refused before anything is steered", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const vector = new SteeringVector([1], new Float32Array(128).fill(1));
    const kept = sequence.steer(vector, { tokens: "generated" });
    for (const [what, tokens, message] of wrong) {
        const steer = (): unknown => sequence.steer(vector, { tokens: tokens as TokenSelection });
        const error = await expectCode(t, "INVALID_ARGUMENT", steer, message);
        t.regex(error?.message ?? "", /tokens|between|marker/i, what);
    }
    t.deepEqual(sequence.steering, [kept]);
    await context.dispose();
});
