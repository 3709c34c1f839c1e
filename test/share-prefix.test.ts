import test from "ava";
import { SteeringVector, type SteerOptions } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { maxDifference, randomVector } from "./support/numbers.js";
import { exactContext, question } from "./support/testbed.js";

const vector = new SteeringVector([2, 5], randomVector(256, 1, 0.5));
const same = new SteeringVector([2, 5], randomVector(256, 1, 0.5));
const other = new SteeringVector([2, 5], randomVector(256, 2, 0.5));

const context = await exactContext({ sequences: 3 });
const encode = (text: string): Int32Array => context.model.encodePrompt(question(text));
const prompt = encode("Where does the groso fish live?");
const longer = encode("Where does the groso fish like to eat?");
const common = prompt.findIndex((token, i) => token !== longer[i]);

test.after(() => context.dispose());

interface Side {
    vector?: SteeringVector;
    options?: SteerOptions;
}

/** How much of `longer` a sequence steered as `taker` gets from one that was steered as `donor` and holds `prompt`. */
async function shared(donor: Side, taker: Side): Promise<number> {
    const [first, second] = [context.sequence(), context.sequence()];
    if (donor.vector !== undefined) first.steer(donor.vector, donor.options);
    if (taker.vector !== undefined) second.steer(taker.vector, taker.options);
    await first.evaluate(prompt);
    const count = await second.sharePrefix(longer);
    position = second.position;
    const { logits } = await second.evaluate(longer.subarray(count), { logits: "last" });
    const result = logits.slice();
    await first.dispose();
    // What it took is its own: the donor is gone.
    const again = await second.evaluate(Int32Array.of(9), { kind: "generated", logits: "last" });
    const third = context.sequence();
    if (taker.vector !== undefined) third.steer(taker.vector, taker.options);
    const alone = (await third.evaluate(longer, { logits: "last" })).logits.slice();
    const aloneAgain = await third.evaluate(Int32Array.of(9), { kind: "generated", logits: "last" });
    difference = Math.max(maxDifference(result, alone), maxDifference(again.logits, aloneAgain.logits));
    await Promise.all([second.dispose(), third.dispose()]);
    return count;
}
let difference = Number.NaN;
let position = -1;

const on = (options: SteerOptions = {}, direction = vector): Side => ({ vector: direction, options });
const cases: [string, Side, Side, boolean][] = [
    ["neither steered", {}, {}, true],
    ["the same steering", on(), on(), true],
    ["equal vectors in different objects", on(), on({}, same), true],
    ["steered and not", on(), {}, false],
    ["not steered and steered", {}, on(), false],
    ["another strength", on({ strength: 1 }), on({ strength: 1.5 }), false],
    ["another vector", on(), on({}, other), false],
    ["another operation", on(), on({ operation: "ablate" }), false],
    ["another site", on(), on({ site: "mlp_out" }), false],
    ["norm kept or not", on(), on({ preserveNorm: true }), false],
    ["steered on the answer only, and not", on({ tokens: "generated" }), {}, true],
    [
        "steered on the answer only, differently",
        on({ tokens: "generated" }),
        on({ tokens: "generated", strength: 9 }),
        true,
    ],
    [
        "a schedule that is the same on the prompt",
        on({ strength: { kind: "decay", value: 1, halfLife: 4 } }),
        on(),
        true,
    ],
    ["a condition and none", on({ when: { vector, layer: 2, threshold: 0 } }), on(), false],
    [
        "another threshold",
        on({ when: { vector, layer: 2, threshold: 0 } }),
        on({ when: { vector, layer: 2, threshold: 0.1 } }),
        false,
    ],
    [
        "the same condition",
        on({ when: { vector, layer: 2, threshold: 0 } }),
        on({ when: { vector, layer: 2, threshold: 0 } }),
        true,
    ],
    ["a function", on({ strength: () => 1 }), on({ strength: () => 1 }), false],
    [
        "a function of the answer",
        on({ strength: () => 1, tokens: "generated" }),
        on({ strength: () => 1, tokens: "generated" }),
        true,
    ],
];

for (const [what, donor, taker, shares] of cases) {
    test.serial(`${what}: ${shares ? "shared" : "not shared"}`, async (t) => {
        t.is(await shared(donor, taker), shares ? common : 0);
        t.is(position, shares ? common : 0);
        t.true(difference < 1e-4, `logits differ by ${difference} from those without sharing`);
    });
}

test.serial("an answer says what it took, and is the same", async (t) => {
    const [first, second] = [context.sequence(), context.sequence()];
    first.steer(vector);
    second.steer(vector);
    const options = { maxTokens: 6, sharePrefix: true };
    const computed = await first.generate(prompt, options).result();
    const taken = await second.generate(prompt, options).result();
    t.deepEqual([computed.sharedTokens, taken.sharedTokens], [0, prompt.length - 1]);
    t.deepEqual(taken.tokens, computed.tokens);
    await Promise.all([first.dispose(), second.dispose()]);
});

test.serial("strengths that changed in between, and what was cut, are not taken for the same", async (t) => {
    const [first, second] = [context.sequence(), context.sequence()];
    const steering = first.steer(vector);
    second.steer(vector);
    await first.evaluate(prompt.subarray(0, 5), { kind: "prompt-part" });
    steering.strength = 2;
    await first.evaluate(prompt.subarray(5));
    t.is(await second.sharePrefix(longer), 5);
    await second.clear();
    await first.truncate(3);
    t.is(await second.sharePrefix(longer), 3);
    await Promise.all([first.dispose(), second.dispose()]);
});

test.serial("only an empty sequence takes a prefix, and only in a memory that all share", async (t) => {
    const sequence = context.sequence();
    await sequence.evaluate(prompt);
    await expectCode(t, "SEQUENCE_BUSY", () => sequence.sharePrefix(longer));
    await sequence.dispose();
    const separate = await exactContext({ sequences: 2, unifiedMemory: false });
    await expectCode(t, "INVALID_ARGUMENT", () => separate.sequence().sharePrefix(longer), /unifiedMemory/);
    await separate.dispose();
});
