import test, { type ExecutionContext } from "ava";
import { type Capture, type Sequence, SteeringVector, type SteerOptions } from "llama-steer";
import { randomVector } from "./support/numbers.js";
import { chatContext, chatModel, question, questions } from "./support/testbed.js";

// Each operation through the public API against its formula in float64, at the first steered layer, where what arrives is
// what arrives without steering.

const width = 128;
const layer = 3;
const vector = (seed: number, length = 1): SteeringVector =>
    new SteeringVector([layer], randomVector(width, seed, length));
const [a, b, c] = [vector(1), vector(2, 0.5), vector(3, 2)];
const list = (each: SteeringVector): number[] => [...each.data];

const dot = (x: readonly number[], y: readonly number[]): number =>
    x.reduce((sum, each, i) => sum + each * (y[i] ?? 0), 0);
const plus = (x: readonly number[], factor: number, y: readonly number[]): number[] =>
    x.map((each, i) => each + factor * (y[i] ?? 0));
const unit = (x: readonly number[]): number[] => x.map((each) => each / Math.sqrt(dot(x, x)));

/** The smallest change of h that brings its projections on two directions to given values. */
function bringTo(h: number[], u: number[], v: number[], wanted: (projection: number) => number): number[] {
    const [p, q, g] = [dot(u, h), dot(v, h), dot(u, v)];
    const [dp, dq] = [wanted(p) - p, wanted(q) - q];
    const x = (dp - g * dq) / (1 - g * g);
    return plus(plus(h, x, u), (dq - g * dp) / (1 - g * g), v);
}

function turn(h: number[], from: number[], towards: number[], angle: number): number[] {
    const x = unit(from);
    const y = unit(plus(towards, -dot(towards, x), x));
    const [p, q] = [dot(x, h), dot(y, h)];
    const turned = plus(plus(h, -p, x), -q, y);
    return plus(
        plus(turned, p * Math.cos(angle) - q * Math.sin(angle), x),
        p * Math.sin(angle) + q * Math.cos(angle),
        y,
    );
}

function keepNorm(h: number[], changed: number[]): number[] {
    return changed.map((each) => each * Math.sqrt(dot(h, h) / dot(changed, changed)));
}

interface Case {
    vectors: SteeringVector | SteeringVector[];
    options: SteerOptions;
    expected: (h: number[]) => number[];
}

const band = (low: number, high: number) => (p: number) => Math.min(Math.max(p, low), high);
const [ua, ub] = [unit(list(a)), unit(list(b))];

const cases: Record<string, Case> = {
    "add one": { vectors: a, options: { strength: -1.5 }, expected: (h) => plus(h, -1.5, list(a)) },
    "add several": {
        vectors: [a, b, c],
        options: { operation: "add", strength: 0.5 },
        expected: (h) => [a, b, c].reduce((sum, each) => plus(sum, 0.5, list(each)), h),
    },
    "add, norm kept": {
        vectors: a,
        options: { strength: 3, preserveNorm: true },
        expected: (h) => keepNorm(h, plus(h, 3, list(a))),
    },
    "add in norm units": {
        vectors: a.withNorms(Float32Array.of(7.5)),
        options: { strength: 0.4, unit: "norm" },
        expected: (h) => plus(h, 0.4 * 7.5, ua),
    },
    ablate: { vectors: a, options: { operation: "ablate" }, expected: (h) => plus(h, -dot(ua, h), ua) },
    "ablate in part": {
        vectors: c,
        options: { operation: "ablate", strength: 0.3 },
        expected: (h) => plus(h, -0.3 * dot(unit(list(c)), h), unit(list(c))),
    },
    "ablate a plane": {
        vectors: [a, b],
        options: { operation: "ablate" },
        expected: (h) => bringTo(h, ua, ub, () => 0),
    },
    clamp: {
        vectors: a,
        options: { operation: "clamp", low: -0.2, high: 0.1 },
        expected: (h) => plus(h, band(-0.2, 0.1)(dot(ua, h)) - dot(ua, h), ua),
    },
    "clamp two from below": {
        vectors: [a, b],
        options: { operation: "clamp", low: 0.5 },
        expected: (h) => bringTo(h, ua, ub, band(0.5, Infinity)),
    },
    "set two": {
        vectors: [a, b],
        options: { operation: "set", value: 2 },
        expected: (h) => bringTo(h, ua, ub, () => 2),
    },
    "set in norm units": {
        vectors: a.withNorms(Float32Array.of(4)),
        options: { operation: "set", value: -0.5, unit: "norm" },
        expected: (h) => plus(h, -2 - dot(ua, h), ua),
    },
    affine: {
        vectors: [a, b],
        options: { operation: "affine", up: [c, a], bias: b, strength: 0.5 },
        expected: (h) => {
            const up = plus(plus(list(b), dot(list(a), h), list(c)), dot(list(b), h), list(a));
            return plus(h, 0.5, up);
        },
    },
    rotate: {
        vectors: [a, b],
        options: { operation: "rotate", strength: 2.1 },
        expected: (h) => turn(h, list(a), list(b), 2.1),
    },
    track: {
        vectors: a,
        options: { operation: "track", target: 1.25 },
        expected: (h) => plus(h, 1.25 - dot(ua, h), ua),
    },
    observe: { vectors: [a, b], options: { operation: "observe" }, expected: (h) => h },
};

async function rowsOf(sequence: Sequence, capture: Capture): Promise<number[][]> {
    await sequence.clear();
    await sequence.evaluate((await chatModel()).encodePrompt(question(questions[0])));
    return Array.from({ length: capture.rowCount(layer) }, (_, row) => [...capture.row(layer, row)]);
}

function closeTo(t: ExecutionContext, found: readonly number[], expected: readonly number[], message: string): void {
    const error = plus(found, -1, expected);
    const relative = Math.sqrt(dot(error, error) / dot(expected, expected));
    t.true(relative < 1e-5, `${message}: ${relative} relative to the row`);
}

for (const site of ["residual", "residual_mid", "attention_out", "mlp_out", "attention_heads"]) {
    test(`every operation does to each row of ${site} what its formula says`, async (t) => {
        const context = await chatContext();
        const sequence = context.sequence();
        const capture = context.capture({ site, layers: layer });
        const arriving = await rowsOf(sequence, capture);
        for (const [name, { vectors, options, expected }] of Object.entries(cases)) {
            const steering = sequence.steer(vectors, { site, ...options });
            const rows = await rowsOf(sequence, capture);
            rows.forEach((row, i) => {
                closeTo(t, row, expected(arriving[i] as number[]), `${name}, row ${i}`);
            });
            steering.remove();
        }
        t.deepEqual(await rowsOf(sequence, capture), arriving, "nothing of them is left");
        await context.dispose();
    });
}

test("interventions act in the order they were made", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const capture = context.capture({ layers: layer });
    const arriving = await rowsOf(sequence, capture);
    sequence.steer(a, { strength: 2 });
    sequence.steer(a, { operation: "ablate" });
    sequence.steer([a, b], { operation: "rotate", strength: 1 });
    sequence.steer(b, { operation: "clamp", low: 3 });
    const rows = await rowsOf(sequence, capture);
    rows.forEach((row, i) => {
        const h = arriving[i] as number[];
        const added = plus(h, 2, list(a));
        const turned = turn(plus(added, -dot(ua, added), ua), list(a), list(b), 1);
        closeTo(t, row, plus(turned, band(3, Infinity)(dot(ub, turned)) - dot(ub, turned), ub), `row ${i}`);
    });
    await context.dispose();
});

test("numbers change from the next token on, and build no graph", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const capture = context.capture({ layers: layer });
    const arriving = await rowsOf(sequence, capture);
    const set = sequence.steer(a, { operation: "set", value: 1 });
    const clamp = sequence.steer(b, {
        operation: "clamp",
        low: -1,
        high: 1,
        strength: { kind: "decay", value: 1, halfLife: 3 },
    });
    await rowsOf(sequence, capture);
    const before = context.statistics.graphsBuilt;
    for (const value of [2, -3, 0.5]) {
        set.update({ value, strength: 0.5 });
        clamp.update({ low: value - 0.1, high: value + 0.1, strength: 1 });
        const rows = await rowsOf(sequence, capture);
        rows.forEach((row, i) => {
            const h = arriving[i] as number[];
            const half = plus(h, 0.5 * (value - dot(ua, h)), ua);
            const into = band(value - 0.1, value + 0.1)(dot(ub, half)) - dot(ub, half);
            closeTo(t, row, plus(half, into, ub), `value ${value}, row ${i}`);
        });
    }
    t.is(context.statistics.graphsBuilt, before);
    await context.dispose();
});

test("what a vector is for, its metadata says, unless the options do", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const ablating = a.withMetadata({ operation: "ablate", site: "mlp_out" });
    const steering = sequence.steer(ablating);
    t.deepEqual([steering.operation, steering.site], ["ablate", "mlp_out"]);
    const other = sequence.steer(ablating, { operation: "add", site: "residual" });
    t.deepEqual([other.operation, other.site], ["add", "residual"]);
    await context.dispose();
});
