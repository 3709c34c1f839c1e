import test from "ava";
import { type Comparison, SteeringVector } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { randomVector } from "./support/numbers.js";
import { chatContext, question, questions } from "./support/testbed.js";

const width = 128;
const at = (layer: number, seed: number): SteeringVector => new SteeringVector([layer], randomVector(width, seed));
const a = at(3, 1);
const b = at(3, 2);
const zero = new SteeringVector([3], new Float32Array(width));
const when: Comparison = { vector: a, layer: 3, threshold: 0 };
const itself: { not?: unknown } = {};
itself.not = itself;

test("what contradicts itself or does not fit is refused, and nothing of it acts", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const refused: [Parameters<typeof expectCode>[1], () => unknown, RegExp?][] = [
        ["WIDTH_MISMATCH", () => sequence.steer(new SteeringVector([3], randomVector(64, 1))), /64 wide/],
        ["WIDTH_MISMATCH", () => sequence.steer([a, new SteeringVector([3], randomVector(64, 1))])],
        ["LAYER_OUT_OF_RANGE", () => sequence.steer(at(8, 1)), /layers 0 to 7/],
        ["SITE_UNKNOWN", () => sequence.steer(a, { site: "nowhere" }), /no site nowhere/],
        ["ZERO_VECTOR", () => sequence.steer(zero, { operation: "ablate" }), /layer 3/],
        ["ZERO_VECTOR", () => sequence.steer([a, zero], { operation: "rotate", strength: 1 })],
        ["ZERO_VECTOR", () => sequence.steer(zero.withNorms(Float32Array.of(1)), { unit: "norm" })],
        ["ZERO_VECTOR", () => sequence.steer(a, { when: { ...when, vector: zero } })],
        ["NORMS_MISSING", () => sequence.steer(a, { unit: "norm" }), /withNorms/],
        ["NORMS_MISSING", () => sequence.steer(a, { operation: "set", value: 1, unit: "norm" })],
        ["INVALID_ARGUMENT", () => sequence.steer(a, { operation: "clamp", low: 2, high: 1 }), /exceed/],
        ["INVALID_ARGUMENT", () => sequence.steer(a, { operation: "clamp" }), /low or high/],
        ["INVALID_ARGUMENT", () => sequence.steer(a, { operation: "set" } as never), /value/],
        ["INVALID_ARGUMENT", () => sequence.steer(a, { operation: "track", target: 1, low: 0 }), /not both/],
        ["INVALID_ARGUMENT", () => sequence.steer(a, { operation: "rotate", strength: 1 }), /two vectors/],
        ["INVALID_ARGUMENT", () => sequence.steer([a, a.scale(-2)], { operation: "rotate" }), /parallel/],
        ["INVALID_ARGUMENT", () => sequence.steer([a, b], { operation: "affine", up: a }), /as many/],
        ["INVALID_ARGUMENT", () => sequence.steer(a, { operation: "affine" } as never), /up/],
        ["INVALID_ARGUMENT", () => sequence.steer(a, { operation: "invent" } as never), /"ablate"/],
        ["INVALID_ARGUMENT", () => sequence.steer(a, { value: 1 } as never), /takes no "value"/],
        ["INVALID_ARGUMENT", () => sequence.steer([]), /at least one/],
        ["INVALID_ARGUMENT", () => sequence.steer(a.withMetadata({ operation: "project" })), /operation/],
        ["NOT_FINITE", () => sequence.steer(a, { operation: "set", value: Number.NaN })],
        ["NOT_FINITE", () => sequence.steer(a, { operation: "clamp", low: 1e300 })],
        ["NOT_FINITE", () => sequence.steer(a, { strength: Number.POSITIVE_INFINITY })],
        ["STEERING_CONFLICT", () => sequence.steer([a, a.scale(3)], { operation: "set", value: 1 }), /dependent/],
        ["NOT_FINITE", () => sequence.steer(a, { when: { ...when, threshold: Number.NaN } })],
        ["LAYER_OUT_OF_RANGE", () => sequence.steer(a, { when: { ...when, layer: 4 } })],
        ["SITE_UNKNOWN", () => sequence.steer(a, { when: { ...when, site: "nowhere" } })],
        ["INVALID_ARGUMENT", () => sequence.steer(a, { when: { ...when, vector: at(5, 1), layer: 5 } }), /comes after/],
        ["INVALID_ARGUMENT", () => sequence.steer(a, { when: { all: [] } }), /at least one/],
        ["INVALID_ARGUMENT", () => sequence.steer(a, { when: { all: [when], any: [when] } as never })],
        ["INVALID_ARGUMENT", () => sequence.steer(a, { when: { not: when, vector: a } as never })],
        ["INVALID_ARGUMENT", () => sequence.steer(a, { when: { ...when, decide: "later" as never } }), /"last-prompt"/],
        ["INVALID_ARGUMENT", () => sequence.steer(a, { when: itself as never }), /32 deep/],
        ["INVALID_ARGUMENT", () => sequence.steer(a, { when: { any: Array.from({ length: 40 }, () => when) } }), /32/],
    ];
    for (const [code, call, message] of refused) {
        await expectCode(t, code, call, message);
    }
    t.is(sequence.steering.length, 0);
    await context.dispose();
});

test("one projection cannot be held at two values", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const first = sequence.steer(a, { operation: "set", value: 1 });
    await expectCode(
        t,
        "STEERING_CONFLICT",
        () => sequence.steer(a.scale(3), { operation: "set", value: 2 }),
        /layer 3/,
    );
    await expectCode(t, "STEERING_CONFLICT", () => sequence.steer(a.negate(), { operation: "track", target: 1 }));
    t.is(sequence.steering.length, 1);
    sequence.steer(a.negate(), { operation: "set", value: -1 });
    sequence.steer(b, { operation: "set", value: 2 });
    sequence.steer(a, { operation: "set", value: 2, site: "mlp_out" });
    sequence.steer(a, { operation: "set", value: 2, when });
    await expectCode(t, "STEERING_CONFLICT", () => first.update({ value: 5 }));
    t.deepEqual(first.bounds, { low: 1, high: 1 });
    await context.dispose();
});

test("an update that is refused changes nothing", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const clamp = sequence.steer(a, { operation: "clamp", low: 0, high: 1 });
    await expectCode(t, "INVALID_ARGUMENT", () => clamp.update({ low: 2 }));
    await expectCode(t, "INVALID_ARGUMENT", () => clamp.update({ value: 2 }));
    await expectCode(t, "NOT_FINITE", () => clamp.update({ high: Number.NaN }));
    await expectCode(t, "NOT_FINITE", () => clamp.update({ strength: Number.NaN }));
    t.deepEqual(clamp.bounds, { low: 0, high: 1 });
    t.is(clamp.strength, 1);
    await context.dispose();
    await expectCode(t, "DISPOSED", () => clamp.update({ high: 2 }));
});

test("an answer without the marker that steering requires is rejected once it has been delivered", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const between = ["<|never|>", "<|end|>"] as const;
    const sequence = context.sequence();
    sequence.steer(a, { strength: 1, tokens: { between, required: true } });
    const answer = sequence.generate(question(questions[0]), { maxTokens: 4 });
    let count = 0;
    await expectCode(t, "MARKER_NOT_SEEN", async () => {
        for await (const _ of answer) count++;
    });
    t.is(count, 4);
    const other = context.sequence();
    other.steer(a, { tokens: { between } });
    t.is((await other.generate(question(questions[0]), { maxTokens: 4 }).result()).tokens.length, 4);
    await context.dispose();
});
