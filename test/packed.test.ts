import test from "ava";
import { chatContext } from "./support/testbed.js";

test("packed leaves no room between layers, whatever the capacity", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const capture = context.capture({ rows: "all", layers: [1, 3], capacity: 20 });
    await sequence.evaluate(Int32Array.of(5, 6, 7));
    const packed = capture.packed();
    t.is(packed.length, 2 * 3 * capture.width);
    t.deepEqual(packed.subarray(3 * capture.width), capture.layer(3));
    await capture.dispose();

    const full = context.capture({ rows: "all", layers: [1, 3], capacity: 3 });
    await sequence.evaluate(Int32Array.of(5, 6, 7));
    t.is(full.packed().buffer, full.data.buffer, "no copy where there is nothing to close up");
    t.deepEqual(full.packed().subarray(3 * full.width), full.layer(3));
    await full.dispose();

    const uneven = context.capture({ rows: "all", layers: "all" });
    await sequence.evaluate(Int32Array.of(5, 6, 7), { logits: "last" });
    t.throws(() => uneven.packed(), { code: "INVALID_ARGUMENT", message: /different numbers of rows \(3 and 1\)/ });
    await context.dispose();
});
