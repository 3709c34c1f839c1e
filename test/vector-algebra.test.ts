import test from "ava";
import { SteeringVector, type VectorMetadata } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { maxDifference, randomVector } from "./support/numbers.js";

const width = 24;

function vectorOf(layers: readonly number[], seed: number, options: object = {}): SteeringVector {
    return new SteeringVector(layers, randomVector(layers.length * width, seed), options);
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
    return Array.from(a).reduce((sum, each, i) => sum + each * (b[i] as number), 0);
}

/**
 * What is left of `target` without its projection on the span of `basis`, by the normal equations (Gauss elimination with
 * pivots): nothing of Gram-Schmidt.
 */
function residualOf(target: ArrayLike<number>, basis: readonly ArrayLike<number>[]): number[] {
    const rows = basis.map((a) => [...basis.map((b) => dot(a, b)), dot(a, target)]);
    for (const [i] of rows.entries()) {
        const pivot = rows
            .slice(i)
            .reduce((best, row) => (Math.abs(row[i] ?? 0) > Math.abs(best[i] ?? 0) ? row : best));
        const at = rows.indexOf(pivot);
        [rows[i], rows[at]] = [pivot, rows[i] as number[]];
        for (const row of rows.filter((each) => each !== pivot)) {
            const factor = (row[i] as number) / (pivot[i] as number);
            for (const [j, value] of pivot.entries()) {
                row[j] = (row[j] as number) - factor * value;
            }
        }
    }
    const shares = rows.map((row, i) => (row.at(-1) as number) / (row[i] as number));
    return Array.from(
        target,
        (value, j) => value - basis.reduce((sum, each, i) => sum + (shares[i] ?? 0) * (each[j] as number), 0),
    );
}

test("a sum has the layers of both, and what one lacks counts as zero", (t) => {
    const [a, b] = [vectorOf([1, 4], 1), vectorOf([0, 4, 6], 2)];
    const sum = a.add(b);
    t.deepEqual(sum.layers, [0, 1, 4, 6]);
    t.deepEqual([...sum.layer(0)], [...b.layer(0)]);
    t.deepEqual([...sum.layer(1)], [...a.layer(1)]);
    t.deepEqual(
        [...sum.layer(4)],
        Array.from(a.layer(4), (each, i) => Math.fround(each + (b.layer(4)[i] as number))),
    );
    const difference = a.subtract(b);
    t.deepEqual(difference.layers, [0, 1, 4, 6]);
    t.deepEqual(
        [...difference.layer(6)],
        Array.from(b.layer(6), (each) => 0 - each),
    );
    t.deepEqual(
        [...difference.layer(4)],
        Array.from(a.layer(4), (each, i) => Math.fround(each - (b.layer(4)[i] as number))),
    );
});

test("what is computed is rounded once, and the vectors it came from stay", (t) => {
    const a = new SteeringVector([2], Float32Array.of(1, 16777216, 0.1));
    const b = new SteeringVector([2], Float32Array.of(2 ** -24, 1, 0.2));
    // In float32 alone 16777216 + 1 is 16777216 by ties to even, as it is here; (a - b) + b shows the single rounding.
    t.deepEqual(
        [...a.add(b).data],
        [Math.fround(1 + 2 ** -24), 16777216, Math.fround(Math.fround(0.1) + Math.fround(0.2))],
    );
    t.deepEqual(
        [...a.scale(1 / 3).data],
        [Math.fround(1 / 3), Math.fround(16777216 / 3), Math.fround(Math.fround(0.1) / 3)],
    );
    t.deepEqual([...a.negate().data], [-1, -16777216, -Math.fround(0.1)]);
    t.deepEqual([...a.data], [1, 16777216, Math.fround(0.1)]);
    t.not(a.scale(1).data, a.data);
});

test("a normalized direction has length 1 and the same orientation, also where squares leave float32", (t) => {
    for (const scale of [1, 1e-30, 1e30]) {
        const vector = vectorOf([0, 3], 3).scale(scale);
        const unit = vector.normalize();
        for (const layer of vector.layers) {
            t.true(Math.abs(Math.sqrt(dot(unit.layer(layer), unit.layer(layer))) - 1) < 1e-7, `${scale}`);
            const length = Math.sqrt(dot(vector.layer(layer), vector.layer(layer)));
            t.true(
                maxDifference(
                    unit.layer(layer),
                    Array.from(vector.layer(layer), (each) => each / length),
                ) < 6e-8,
            );
        }
    }
});

test("a zero direction has no orientation, and the message names its layer", async (t) => {
    const data = randomVector(3 * width, 4).fill(0, width, 2 * width);
    const vector = new SteeringVector([2, 5, 6], data);
    await expectCode(t, "ZERO_VECTOR", () => vector.normalize(), /layer 5/);
    t.notThrows(() => vector.select([2, 6]).normalize());
    t.deepEqual([...vector.orthogonalTo(vectorOf([5], 1)).layer(5)], Array(width).fill(0));
});

test("what is orthogonal to others has no component in their span, and is the projection", (t) => {
    const vector = vectorOf([1, 2], 5);
    for (const count of [1, 2, 5, 20]) {
        const others = Array.from({ length: count }, (_, i) => vectorOf([1, 2], 10 + i));
        const rest = vector.orthogonalTo(count === 1 ? (others[0] as SteeringVector) : others);
        for (const layer of [1, 2]) {
            const basis = others.map((each) => each.layer(layer));
            t.true(maxDifference(rest.layer(layer), residualOf(vector.layer(layer), basis)) < 1e-6, `${count} others`);
            for (const other of basis) {
                const cosine =
                    dot(rest.layer(layer), other) /
                    Math.sqrt(dot(rest.layer(layer), rest.layer(layer)) * dot(other, other));
                t.true(Math.abs(cosine) < 2e-7, `${count} others: ${cosine}`);
            }
        }
    }
});

test("others that nearly are one, or are zero, span what they span", (t) => {
    const [vector, other] = [vectorOf([0], 6), vectorOf([0], 7)];
    const alone = vector.orthogonalTo(other);
    const zero = new SteeringVector([0], new Float32Array(width));
    t.deepEqual([...vector.orthogonalTo([other, other.scale(3), other.negate(), zero]).data], [...alone.data]);
    t.deepEqual([...vector.orthogonalTo(zero).data], [...vector.data]);
    t.deepEqual([...vector.orthogonalTo([]).data], [...vector.data]);
    // Two that differ by one part in a thousand do span a plane.
    const beside = other.add(vectorOf([0], 8).scale(1e-3));
    const rest = vector.orthogonalTo([other, beside]);
    t.true(maxDifference(rest.data, residualOf(vector.data, [other.data, beside.data])) < 1e-5);
    t.true(maxDifference(rest.data, alone.data) > 1e-2);
});

test("a direction in the span of the others becomes zero, not rounding with an orientation", async (t) => {
    const [a, b] = [vectorOf([3], 9), vectorOf([3], 10)];
    const inside = a.scale(0.3).add(b.scale(-1.7));
    t.deepEqual([...inside.orthogonalTo([a, b]).data], Array(width).fill(0));
    t.deepEqual([...a.orthogonalTo(a).data], Array(width).fill(0));
    await expectCode(t, "ZERO_VECTOR", () => inside.orthogonalTo([a, b]).normalize(), /layer 3/);
});

test("layers that the others lack stay as they are", (t) => {
    const vector = vectorOf([1, 2, 3], 11);
    const rest = vector.orthogonalTo([vectorOf([2], 12), vectorOf([0, 2, 7], 13)]);
    t.deepEqual(rest.layers, [1, 2, 3]);
    t.deepEqual([...rest.layer(1)], [...vector.layer(1)]);
    t.deepEqual([...rest.layer(3)], [...vector.layer(3)]);
    t.true(maxDifference(rest.layer(2), vector.layer(2)) > 1e-3);
});

test("vectors of other widths are refused, and whatever is no vector", async (t) => {
    const vector = vectorOf([1], 14);
    const wide = new SteeringVector([1], new Float32Array(width + 1).fill(1));
    for (const call of ["add", "subtract", "orthogonalTo"] as const) {
        await expectCode(t, "WIDTH_MISMATCH", () => vector[call](wide), /24 and 25/);
        await expectCode(t, "INVALID_ARGUMENT", () => vector[call]({ layers: [1], data: vector.data } as never));
    }
    await expectCode(t, "WIDTH_MISMATCH", () => vector.orthogonalTo([vector, wide]));
    await expectCode(t, "INVALID_ARGUMENT", () => vector.orthogonalTo([vector, undefined as never]));
});

test("what leaves float32 is refused", async (t) => {
    const vector = new SteeringVector([1], new Float32Array(width).fill(3e38));
    await expectCode(t, "NOT_FINITE", () => vector.add(vector));
    await expectCode(t, "NOT_FINITE", () => vector.scale(2));
    await expectCode(t, "NOT_FINITE", () => vector.scale(Number.NaN));
    await expectCode(t, "NOT_FINITE", () => vector.scale(1e39));
    t.is(vector.subtract(vector).data[0], 0);
});

const model = { architecture: "qwen3", layers: 8, hiddenSize: width };
const metadata = { method: "wrmd", lambda: 0.5, samples: 12, seed: 3, note: "first", model } satisfies VectorMetadata;

test("norms and metadata go with layers and with what is computed from one vector", (t) => {
    const vector = vectorOf([1, 2, 5], 15, { norms: Float32Array.of(10, 20, 50), metadata });
    t.deepEqual(vector.metadata, { operation: "add", site: "residual", ...metadata });
    t.deepEqual([...(vector.select([1, 5]).norms ?? [])], [10, 50]);
    const results = [
        vector.select(2),
        vector.scale(2),
        vector.negate(),
        vector.normalize(),
        vector.orthogonalTo(vectorOf([1], 1)),
    ];
    for (const result of results) {
        t.deepEqual(result.metadata, vector.metadata);
        t.deepEqual(result.norms, result.layers.length === 1 ? Float32Array.of(20) : vector.norms);
    }
    t.is(new SteeringVector([1], new Float32Array(width)).norms, undefined);
    t.is(vector.withNorms(undefined).norms, undefined);
    t.deepEqual(vector.withNorms(Float32Array.of(1, 2, 3)).norms, Float32Array.of(1, 2, 3));
    t.is(vector.withNorms(undefined).data, vector.data);
});

test("metadata are laid over those that are there, and undefined takes a key away", (t) => {
    const vector = vectorOf([1], 16, { metadata });
    const changed = vector.withMetadata({ note: undefined, operation: "ablate", by: "me" });
    const { note, ...rest } = metadata;
    t.is(note, "first");
    t.deepEqual(changed.metadata, { ...rest, operation: "ablate", site: "residual", by: "me" });
    t.is(changed.withMetadata({ operation: undefined }).metadata.operation, "add");
    t.is(vector.metadata.operation, "add");
});

test("metadata are copied and frozen, norms copied", (t) => {
    const given = { ...metadata, model: { ...model } };
    const norms = Float32Array.of(1);
    const vector = vectorOf([1], 17, { norms, metadata: given });
    given.model.layers = 99;
    norms[0] = 99;
    t.is(vector.metadata.model?.layers, 8);
    t.is(vector.norms?.[0], 1);
    t.true(Object.isFrozen(vector.metadata) && Object.isFrozen(vector.metadata.model));
});

test("a sum keeps the metadata that both agree on, and the norms of each layer from the first that has them", (t) => {
    const a = vectorOf([1, 2], 18, { norms: Float32Array.of(10, 20), metadata });
    const b = vectorOf([2, 3], 19, {
        norms: Float32Array.of(21, 30),
        metadata: { ...metadata, seed: 4, note: "second" },
    });
    const sum = a.add(b);
    t.deepEqual(sum.metadata, { operation: "add", site: "residual", method: "wrmd", lambda: 0.5, samples: 12, model });
    t.deepEqual(sum.norms, Float32Array.of(10, 20, 30));
    t.is(a.add(b.withNorms(undefined)).norms, undefined);
    t.deepEqual(a.add(b.select(2).withNorms(undefined)).norms, Float32Array.of(10, 20));
    t.deepEqual(vectorOf([1], 1).add(a).metadata.model, model, "a model that only one knows");
});

test("vectors of different models, sites or operations have no sum", async (t) => {
    const a = vectorOf([1], 20, { metadata });
    const of = (changes: VectorMetadata): SteeringVector => a.withMetadata(changes);
    await expectCode(
        t,
        "VECTOR_MISMATCH",
        () => a.add(of({ model: { ...model, architecture: "llama" } })),
        /qwen3 and llama/,
    );
    await expectCode(
        t,
        "VECTOR_MISMATCH",
        () => a.orthogonalTo(of({ model: { ...model, layers: 9 } })),
        /layers 8 and 9/,
    );
    await expectCode(t, "INVALID_ARGUMENT", () => a.add(of({ site: "mlp_out" })), /"residual" and "mlp_out"/);
    await expectCode(t, "INVALID_ARGUMENT", () => a.subtract(of({ operation: "ablate" })), /"add" and "ablate"/);
    const printed = of({ model: { ...model, fingerprint: "x" } });
    t.is(a.add(printed).metadata.model?.fingerprint, undefined, "only one has a fingerprint");
    await expectCode(
        t,
        "VECTOR_MISMATCH",
        () => printed.add(of({ model: { ...model, fingerprint: "y" } })),
        /fingerprint/,
    );
});

test("metadata that no file could keep, or that contradict the vector, are refused", async (t) => {
    const make = (given: object): unknown => vectorOf([1, 7], 21, { metadata: given });
    const wrong = [
        { operation: "" },
        { site: 3 },
        { method: null },
        { lambda: "1" },
        { samples: -1 },
        { samples: 1.5 },
        { seed: 2 ** 53 },
        { note: 5 },
        { note: "half a \ud800 character" },
        { note: "null \0" },
        { note: "x".repeat(262145) },
        { "with space": "x" },
        { ["__proto__"]: "x" },
        { ["k".repeat(65)]: "x" },
        { model: "qwen3" },
        { model: { ...model, architecture: "" } },
        { model: { ...model, layers: 0 } },
        { model: { ...model, fingerprint: 7 } },
        Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`k${i}`, "x"])),
    ];
    for (const given of wrong) {
        await expectCode(t, "INVALID_ARGUMENT", () => make(given));
    }
    await expectCode(t, "NOT_FINITE", () => make({ lambda: Number.NaN }));
    await expectCode(t, "WIDTH_MISMATCH", () => make({ model: { ...model, hiddenSize: width + 1 } }));
    await expectCode(t, "LAYER_OUT_OF_RANGE", () => make({ model: { ...model, layers: 7 } }));
    t.notThrows(() => make({ site: "attention_heads", model: { ...model, hiddenSize: width + 1 } }));
});

test("norms that are none are refused", async (t) => {
    const make = (norms: unknown): unknown => vectorOf([1, 2], 22, { norms });
    await expectCode(t, "WIDTH_MISMATCH", () => make(Float32Array.of(1)), /1 norms for 2/);
    await expectCode(t, "INVALID_ARGUMENT", () => make([1, 2]));
    await expectCode(t, "INVALID_ARGUMENT", () => make(Float32Array.of(1, 0)), /layer 2/);
    await expectCode(t, "INVALID_ARGUMENT", () => make(Float32Array.of(-1, 1)), /layer 1/);
    await expectCode(t, "NOT_FINITE", () => make(Float32Array.of(1, Number.NaN)));
    await expectCode(t, "INVALID_ARGUMENT", () => vectorOf([1], 1, null as never));
});
