import test from "ava";
import { MomentsAccumulator } from "llama-steer";
import { captured } from "./support/captured-rows.js";
import { expectCode } from "./support/expect-code.js";
import { randomNumbers } from "./support/numbers.js";
import { chatContext } from "./support/testbed.js";

const width = 128;
const layers = [1, 3];
const two = { layers, width, groups: 2 };

test("what does not fit is refused, and nothing of it is added", async (t) => {
    const { activations, groups, weights } = await captured(30, 1);
    const moments = new MomentsAccumulator(two);
    await moments.add(activations, { groups, weights });
    const before = moments.toBytes();
    const changed = <Numbers extends Int32Array | Float64Array>(numbers: Numbers, value: number): Numbers => {
        const copy = numbers.slice() as Numbers;
        copy[4] = value;
        return copy;
    };
    const add = (options: object, from = activations): (() => unknown) => {
        return () => moments.add(from, options);
    };
    await expectCode(t, "INVALID_ARGUMENT", add({ groups: 2 }), /groups .* 0 to 1/);
    await expectCode(t, "INVALID_ARGUMENT", add({ groups: changed(groups, 2) }), /groups\[4\] is 2/);
    await expectCode(t, "INVALID_ARGUMENT", add({ groups: changed(groups, -2) }), /leaves a row out/);
    await expectCode(t, "INVALID_ARGUMENT", add({ weights: changed(weights, -1) }), /weights\[4\] is -1/);
    await expectCode(t, "NOT_FINITE", add({ weights: changed(weights, Number.NaN) }), /weights\[4\]/);
    await expectCode(t, "WIDTH_MISMATCH", add({ groups: groups.subarray(1) }), /29 values for 30 rows/);
    await expectCode(t, "WIDTH_MISMATCH", add({ weights: weights.subarray(1) }), /29 values for 30 rows/);
    const broken = activations.copy();
    broken.layer(3)[5 * width + 7] = Number.POSITIVE_INFINITY;
    await expectCode(t, "NOT_FINITE", add({}, broken), /layer 3: rows\[row 5, column 7\] is infinity/);
    t.deepEqual(moments.toBytes(), before);

    await expectCode(
        t,
        "LAYER_OUT_OF_RANGE",
        () => new MomentsAccumulator({ layers: [1, 9], width }).add(activations),
        /no layer 9/,
    );
    await expectCode(
        t,
        "WIDTH_MISMATCH",
        () => new MomentsAccumulator({ layers, width: 64 }).add(activations),
        /128 .* 64/,
    );
    const context = await chatContext();
    const uneven = context.capture();
    await context.sequence().evaluate(Int32Array.of(5, 6, 7), { logits: "last" });
    const all = new MomentsAccumulator({ layers: uneven.layers, width });
    await expectCode(t, "INVALID_ARGUMENT", () => all.add(uneven), /different numbers of rows \(3 and 1\)/);
    const last = new MomentsAccumulator({ layers: uneven.layers.slice(-1), width });
    await last.add(uneven);
    t.is(last.count(uneven.layers.at(-1) as number), 1);
    await context.dispose();
});

test("what cannot be read or merged is refused", async (t) => {
    const { activations } = await captured(3, 1);
    const moments = new MomentsAccumulator(two);
    await moments.add(activations, { groups: Int32Array.of(0, -1, -1) });
    await expectCode(t, "EMPTY_CLASS", () => moments.mean(1, 1), /layer 1, group 1/);
    await expectCode(t, "LAYER_OUT_OF_RANGE", () => moments.mean(2), /no layer 2/);
    await expectCode(t, "INVALID_ARGUMENT", () => moments.mean(1, 2), /group/);
    await expectCode(t, "INVALID_ARGUMENT", () => moments.covariance(1, 0, { unbiased: true }), /two rows/);
    t.true(moments.covariance(1).every((each) => each === 0));
    const means = new MomentsAccumulator({ ...two, secondMoment: "none" });
    await means.add(activations);
    await expectCode(t, "INVALID_ARGUMENT", () => means.covariance(1), /no covariance/);
    await expectCode(t, "INVALID_ARGUMENT", () => means.variance(1), /no variance/);

    await expectCode(t, "INVALID_ARGUMENT", () => moments.merge(means), /second moment/);
    await expectCode(t, "INVALID_ARGUMENT", () => moments.merge(moments), /itself/);
    await expectCode(t, "INVALID_ARGUMENT", () => moments.merge(new MomentsAccumulator({ layers, width })), /groups/);
    await expectCode(t, "WIDTH_MISMATCH", () => moments.merge(new MomentsAccumulator({ ...two, width: 64 })), /64/);
    await expectCode(t, "INVALID_ARGUMENT", () => new MomentsAccumulator({ layers: [3, 1], width }), /ascending/);
});

test("bytes give the same accumulator back, and any damage is noticed", async (t) => {
    const { activations, ...options } = await captured(25, 1);
    for (const secondMoment of ["none", "diagonal", "full"] as const) {
        const moments = new MomentsAccumulator({ ...two, secondMoment });
        await moments.add(activations, options);
        const bytes = moments.toBytes();
        const back = MomentsAccumulator.fromBytes(bytes);
        t.deepEqual([back.layers, back.width, back.groups], [layers, width, 2]);
        t.is(back.secondMoment, secondMoment);
        t.deepEqual(back.mean(3, 1), moments.mean(3, 1));
        await back.add(activations, options);
        await moments.add(activations, options);
        t.deepEqual(back.toBytes(), moments.toBytes());

        const random = randomNumbers(9);
        const places = [...Array(60).keys(), ...Array.from({ length: 200 }, () => Math.floor(random() * bytes.length))];
        for (const place of [...places, bytes.length - 8, bytes.length - 1]) {
            const damaged = bytes.slice();
            damaged[place] = (damaged[place] as number) ^ (1 << Math.floor(random() * 8));
            await expectCode(t, "DATA_DAMAGED", () => MomentsAccumulator.fromBytes(damaged));
            await expectCode(t, "DATA_DAMAGED", () => MomentsAccumulator.fromBytes(bytes.subarray(0, place)));
        }
        await expectCode(t, "DATA_DAMAGED", () =>
            MomentsAccumulator.fromBytes(Uint8Array.of(...bytes.slice(0, 999), 0)),
        );
    }
});

test("memory is known before it is taken, and what cannot be had is refused with its size", async (t) => {
    const moments = new MomentsAccumulator(two);
    t.is(moments.bytes, MomentsAccumulator.bytesNeeded(two));
    t.true(moments.bytes > 4 * width ** 2 * 4 && moments.bytes < 4 * (width ** 2 + 2 * width) * 8);
    const diagonal = { ...two, secondMoment: "diagonal" } as const;
    t.is(MomentsAccumulator.bytesNeeded(diagonal), 4 * (2 * width * 8 + 24));
    const large = { layers, width: 2 ** 26 };
    t.true(MomentsAccumulator.bytesNeeded(large) > 2 ** 55);
    await expectCode(t, "OUT_OF_MEMORY", () => new MomentsAccumulator(large), /36\d+\.\d\d GB.*fewer layers/);
    await expectCode(t, "OUT_OF_MEMORY", () =>
        MomentsAccumulator.bytesNeeded({ layers, width: 2 ** 30, groups: 2 ** 30 }),
    );
});

test("after dispose everything is refused, and what was under way is rejected", async (t) => {
    const { activations, ...options } = await captured(250, 2);
    const moments = new MomentsAccumulator(two);
    const work = [1, 2, 3].map(() => moments.add(activations, options));
    moments.dispose();
    moments.dispose();
    for (const each of work.slice(1)) {
        await expectCode(t, "DISPOSED", () => each);
    }
    await work[0]?.catch((error: { code: string }) => t.is(error.code, "DISPOSED"));
    await expectCode(t, "DISPOSED", () => moments.add(activations));
    await expectCode(t, "DISPOSED", () => moments.count(1));
    await expectCode(t, "DISPOSED", () => moments.covariance(1));
    await expectCode(t, "DISPOSED", () => moments.toBytes());
    await expectCode(t, "DISPOSED", () => new MomentsAccumulator(two).merge(moments));
    {
        using short = new MomentsAccumulator(two);
        t.is(short.count(1), 0);
    }
});
