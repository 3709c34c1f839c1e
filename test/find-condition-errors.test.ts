import test from "ava";
import { type Activations, type FindConditionOptions, findCondition, meanNorms, SteeringVector } from "llama-steer";
import { conditionRows, type RowShape } from "./support/condition-rows.js";
import { expectCode } from "./support/expect-code.js";
import { inRepository } from "./support/paths.js";

const shape: RowShape = { layers: [2, 5], width: 4, rows: 3 };
const vector = new SteeringVector([2, 5], new Float32Array(8).fill(1));

function rows(change: Partial<RowShape> = {}, value = (row: number): number => row + 1): Activations {
    return conditionRows({ ...shape, ...change }, (_, row) => value(row));
}

const find = (change: object): Promise<unknown> =>
    findCondition({ vector, positive: rows(), negative: rows(), ...change } as FindConditionOptions);

test("a class without rows is refused, with its layer", async (t) => {
    await expectCode(
        t,
        "EMPTY_CLASS",
        () => find({ positive: rows({ rows: 0 }) }),
        /positive holds no rows of layer 2/,
    );
    await expectCode(t, "EMPTY_CLASS", () => find({ negative: [] }), /negative holds no rows/);
    await expectCode(t, "EMPTY_CLASS", () => find({ negative: rows({ rows: [1, 0] }) }), /negative .*layer 5/);
    await t.notThrowsAsync(() => find({ negative: [rows({ rows: 0 }), rows()] }), "another holds some");
});

test("widths, layers and sites that differ are refused", async (t) => {
    await expectCode(t, "WIDTH_MISMATCH", () => find({ negative: rows({ width: 5 }) }), /negative .*width 5.* 4 wide/);
    const other = rows({ layers: [2, 6] });
    await expectCode(t, "LAYER_OUT_OF_RANGE", () => find({ positive: other }), /positive holds no layer 5, only 2, 6/);
    await expectCode(t, "LAYER_OUT_OF_RANGE", () => find({ layers: [3] }), /layer 3/);
    await expectCode(t, "INVALID_ARGUMENT", () => find({ layers: [] }), /layers/);
    await t.notThrowsAsync(() => find({ positive: other, layers: 2 }));
    const mlp = rows({ site: "mlp_out" });
    await expectCode(t, "INVALID_ARGUMENT", () => find({ positive: [rows(), mlp] }), /residual and mlp_out/);
});

test("what is not finite, or has no direction, is refused with its place", async (t) => {
    for (const [type, bad] of [
        ["f32", Number.NaN],
        ["f32", Number.NEGATIVE_INFINITY],
        ["f16", Number.NaN],
        ["f16", Number.POSITIVE_INFINITY],
    ] as const) {
        const broken = rows({ type }, (row) => (row === 1 ? bad : 1));
        await expectCode(t, "NOT_FINITE", () => find({ negative: broken }), /negative, layer 2: row 1 holds NaN/);
        await expectCode(t, "NOT_FINITE", () => meanNorms(broken), /layer 2: row 1 holds NaN/);
    }
    const zero = new SteeringVector([2, 5], Float32Array.of(1, 1, 1, 1, 0, 0, 0, 0));
    await expectCode(t, "INVALID_ARGUMENT", () => find({ vector: zero }), /layer 5: the vector is zero/);
    await t.notThrowsAsync(() => find({ vector: zero, layers: 2 }));
});

test("wrong options are refused with their name", async (t) => {
    const refused: [change: object, message: RegExp][] = [
        [{ vector: new Float32Array(8) }, /vector must be a SteeringVector/],
        [{ vector: undefined }, /vector/],
        [{ positive: undefined }, /positive must be Activations/],
        [{ positive: [rows(), rows().data] }, /positive must be Activations/],
        [{ negative: "rows" }, /negative must be Activations/],
        [{ measure: "dot" }, /measure must be one of "cosine", "projection"/],
        [{ compare: "both" }, /compare must be one of "above", "below", "either"/],
        [{ signal: {} }, /signal/],
    ];
    for (const [change, message] of refused) {
        await expectCode(t, "INVALID_ARGUMENT", () => find(change), message);
    }
    await expectCode(t, "INVALID_ARGUMENT", () => findCondition(undefined as never), /options/);
    await expectCode(t, "INVALID_ARGUMENT", () => meanNorms({ data: 1 } as never), /activations/);
    await expectCode(t, "EMPTY_CLASS", () => meanNorms(rows({ rows: [1, 0] })), /layer 5/);
});

test("rows that lost their memory are refused", async (t) => {
    const lost = rows();
    structuredClone(lost.data.buffer, { transfer: [lost.data.buffer as ArrayBuffer] });
    await expectCode(t, "BUFFER_DETACHED", () => find({ positive: lost }));
    await expectCode(t, "BUFFER_DETACHED", () => meanNorms(lost));
});

test("an abort ends a search, before it begins and while it runs", async (t) => {
    const reason = new Error("enough");
    const before = await expectCode(t, "ABORTED", () => find({ signal: AbortSignal.abort(reason) }));
    t.is(before?.cause, reason);
    const large = { layers: [2, 5], width: 1024, rows: 20_000, shared: true, spare: 0 };
    const wide = new SteeringVector([2, 5], new Float32Array(2048).fill(1));
    const many = conditionRows(large, (slot, row) => slot + row);
    const controller = new AbortController();
    const searching = findCondition({ vector: wide, positive: many, negative: many, signal: controller.signal });
    controller.abort(reason);
    const during = await expectCode(t, "ABORTED", () => searching);
    t.is(during?.cause, reason);
});

test("the native side takes no rows that lie beyond the memory", async (t) => {
    const { native } = (await import(inRepository("dist/native.js"))) as {
        native: { meanNorms(source: object, layers: Int32Array, width: number, into: Float32Array): unknown };
    };
    const good = { data: new Float32Array(24), slots: Int32Array.of(0, 1), capacity: 3, rows: Int32Array.of(3, 3) };
    const call = (change: object): unknown =>
        native.meanNorms({ ...good, ...change }, Int32Array.of(2, 5), 4, new Float32Array(2));
    t.notThrows(() => call({}));
    await expectCode(t, "WIDTH_MISMATCH", () => call({ data: new Float32Array(23) }));
    await expectCode(t, "WIDTH_MISMATCH", () => call({ slots: Int32Array.of(0, 2) }));
    await expectCode(t, "INVALID_ARGUMENT", () => call({ slots: Int32Array.of(0, -1) }));
    await expectCode(t, "INVALID_ARGUMENT", () => call({ slots: Int32Array.of(0) }));
    await expectCode(t, "INVALID_ARGUMENT", () => call({ rows: Int32Array.of(3, 4) }));
    await expectCode(t, "INVALID_ARGUMENT", () => call({ rows: Int32Array.of(3, -1) }));
    await expectCode(t, "INVALID_ARGUMENT", () => call({ data: new Float64Array(24) }));
});
