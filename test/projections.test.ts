import test from "ava";
import { type Steering, SteeringVector } from "llama-steer";
import { maxDifference, randomVector } from "./support/numbers.js";
import { chatContext, question, questions } from "./support/testbed.js";

const width = 128;
const [u, v] = [1, 2].map((seed) => new SteeringVector([2, 6], randomVector(2 * width, seed)));
const vectors = [u, v] as [SteeringVector, SteeringVector];
const prompt = question(questions[1]);

/** v̂ᵀh in float64. */
function projection(vector: SteeringVector, layer: number, row: Float32Array): number {
    const direction = vector.layer(layer);
    const sum = (f: (i: number) => number): number => row.reduce((total, _, i) => total + f(i), 0);
    return (
        sum((i) => (row[i] as number) * (direction[i] as number)) / Math.sqrt(sum((i) => (direction[i] as number) ** 2))
    );
}

test("observed projections come with each token, of the row that chose it", async (t) => {
    for (const stop of [undefined, "never to be seen"]) {
        const context = await chatContext();
        const sequence = context.sequence();
        const observing = sequence.steer(vectors, { operation: "observe" });
        const options = { maxTokens: 6, capture: { layers: [2, 6], rows: "last-prompt-and-generated" as const } };
        const generation = sequence.generate(prompt, stop === undefined ? options : { ...options, stop });
        const found: Float32Array[] = [];
        for await (const { projections } of generation) {
            t.deepEqual([...(projections as ReadonlyMap<Steering, Float32Array>).keys()], [observing]);
            found.push((projections as ReadonlyMap<Steering, Float32Array>).get(observing) as Float32Array);
        }
        const { activations, tokens } = await generation.result();
        t.is(found.length, tokens.length);
        found.forEach((values, row) => {
            const expected = [2, 6].flatMap((layer) =>
                vectors.map((vector) => projection(vector, layer, activations?.row(layer, row) as Float32Array)),
            );
            t.true(maxDifference(values, expected) < 1e-4, `token ${row}: ${values} and ${expected}`);
        });
        await context.dispose();
    }
});

test("tracking reports what it found before it acted, and holds the projection in its band", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const plain = sequence.steer(u as SteeringVector, { operation: "observe", layers: 2 });
    const unsteered: number[] = [];
    for await (const { projections } of sequence.generate(prompt, { maxTokens: 1 })) {
        unsteered.push(projections?.get(plain)?.[0] as number);
    }
    await sequence.clear();
    plain.remove();
    const tracking = sequence.steer(u as SteeringVector, { operation: "track", layers: 2, low: -0.5, high: 0.5 });
    const after = sequence.steer(u as SteeringVector, { operation: "observe", layers: 2 });
    const found: [number, number][] = [];
    for await (const { projections } of sequence.generate(prompt, { maxTokens: 8 })) {
        found.push([projections?.get(tracking)?.[0] as number, projections?.get(after)?.[0] as number]);
    }
    t.true(Math.abs((found[0]?.[0] as number) - (unsteered[0] as number)) < 1e-4);
    for (const [before, held] of found) {
        t.true(Math.abs(held - Math.min(Math.max(before, -0.5), 0.5)) < 1e-4, `${before} became ${held}`);
    }
    t.true(found.some(([before]) => Math.abs(before) > 0.6));
    await context.dispose();
});

test("where nothing reports, tokens carry no projections", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    sequence.steer(u as SteeringVector, { operation: "ablate" });
    for await (const token of sequence.generate(prompt, { maxTokens: 2 })) {
        t.false("projections" in token);
    }
    await context.dispose();
});
