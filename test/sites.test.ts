import test from "ava";
import { type Activations, loadModel } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { chatModelPath } from "./support/paths.js";
import { rowAt, sameBits } from "./support/rows.js";
import { chatContext, chatModel, question, questions } from "./support/testbed.js";

const publicSites = ["attention_heads", "attention_out", "residual_mid", "mlp_out", "residual"] as const;
const blocks = 8;
const hiddenSize = 128;
const heads = 4;
const feedForwardSize = 384;

/** Captures of all public sites, and of others, of one evaluated question with all its logits. */
async function capturedSites(...others: string[]): Promise<(site: string) => Activations> {
    const context = await chatContext();
    const captures = [...publicSites, ...others].map((site) => context.capture({ site }));
    await context.sequence().evaluate(context.model.encodePrompt(question(questions[0])), { logits: "all" });
    const copies = new Map(captures.map((capture) => [capture.site, capture.copy()]));
    await context.dispose();
    return (site) => copies.get(site) as Activations;
}

test("a model says what can be captured before any context is made, twice at once, and not after it is disposed", async (t) => {
    const model = await loadModel(chatModelPath);
    const [sites, again] = await Promise.all([model.sites(), model.sites()]);
    t.deepEqual(again, sites);
    t.deepEqual(await model.sites(), sites);
    const context = await model.createContext({ threads: 1 });
    t.deepEqual(context.sites(), sites);
    t.deepEqual(Object.keys(context.sites()), Object.keys(sites), "in the same order");
    await context.dispose();
    await expectCode(t, "DISPOSED", () => context.sites());
    t.deepEqual(await model.sites(), sites);
    await model.dispose();
    await expectCode(t, "DISPOSED", () => model.sites());
    const unused = await loadModel(chatModelPath);
    await unused.dispose();
    await expectCode(t, "DISPOSED", () => unused.sites());
});

test("the public sites come first, with the widths and heads of the model", async (t) => {
    const sites = await (await chatModel()).sites();
    const names = Object.keys(sites);
    t.deepEqual(names.slice(0, publicSites.length), [...publicSites]);
    t.is(new Set(names).size, names.length);
    const layers = Array.from({ length: blocks }, (_, layer) => layer);
    const each = <Value>(value: Value): Value[] => layers.map(() => value);
    for (const name of publicSites) {
        const plain = { layers, width: hiddenSize, widths: each(hiddenSize) };
        t.deepEqual(sites[name], name === "attention_heads" ? { ...plain, heads: each(heads) } : plain);
    }
    t.deepEqual(sites.ffn_up, { layers, width: feedForwardSize, widths: each(feedForwardSize) });
    t.is(sites.kq, undefined, "its rows belong to no token");
});

test("every site that is listed can be captured, in rows of its width", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const tokens = Int32Array.of(5, 6, 7);
    for (const [site, { layers, width }] of Object.entries(context.sites())) {
        const capture = context.capture({ site, layers: [layers[0] as number, layers.at(-1) as number] });
        t.is(capture.width, width);
        await sequence.clear();
        await sequence.evaluate(tokens, { logits: "all" });
        for (const layer of capture.layers) {
            t.is(capture.layer(layer).length, 3 * width, `${site} ${layer}`);
            t.true(
                capture.layer(layer).some((element) => element !== 0),
                `${site} ${layer}`,
            );
        }
        await capture.dispose();
    }
    await context.dispose();
});

test("the residual stream is the sum of its parts, bit for bit", async (t) => {
    const at = await capturedSites();
    const sum = (a: Float32Array, b: Float32Array): Float32Array => a.map((each, i) => Math.fround(each + (b[i] ?? 0)));
    for (let layer = 0; layer < blocks; layer++) {
        const [mid, residual] = [at("residual_mid").layer(layer), at("residual").layer(layer)];
        t.is(residual.length, 17 * hiddenSize);
        t.true(sameBits(residual, sum(mid, at("mlp_out").layer(layer))), `mlp of layer ${layer}`);
        if (layer > 0) {
            const before = at("residual").layer(layer - 1);
            t.true(sameBits(mid, sum(before, at("attention_out").layer(layer))), `attention of layer ${layer}`);
        }
        t.true(
            at("mlp_out")
                .layer(layer)
                .some((each) => each !== 0),
        );
    }
});

test("attention_heads holds another result for each head, as the raw node kqv_out", async (t) => {
    const at = await capturedSites("kqv_out", "l_out");
    const size = hiddenSize / heads;
    for (let layer = 0; layer < blocks; layer++) {
        t.true(sameBits(at("attention_heads").layer(layer), at("kqv_out").layer(layer)));
        t.true(sameBits(at("residual").layer(layer), at("l_out").layer(layer)));
        const row = rowAt(at("attention_heads"), layer, 16);
        const parts = Array.from({ length: heads }, (_, head) => row.subarray(head * size, (head + 1) * size));
        for (const [i, part] of parts.entries()) {
            t.true(part.some((each) => each !== 0));
            t.false(
                parts.some((other, j) => j !== i && sameBits(other, part)),
                `head ${i} of layer ${layer}`,
            );
        }
        t.false(sameBits(row, rowAt(at("attention_heads"), layer, 15)), "and for each token");
    }
});

test("at the first token attention can only look at itself: each head gives its own values", async (t) => {
    const at = await capturedSites("Vcur");
    const values = rowAt(at("Vcur"), 3, 0);
    const seen = rowAt(at("attention_heads"), 3, 0);
    // Values are kept in half precision, and heads may share them (grouped queries).
    const shared = seen.length / values.length;
    const size = hiddenSize / heads;
    seen.forEach((each, i) => {
        const head = Math.floor(Math.floor(i / size) / shared);
        const value = values[head * size + (i % size)] as number;
        t.true(Math.abs(each - value) <= Math.abs(value) * 2 ** -9 + 1e-6, `element ${i}`);
    });
});

test("unknown sites are refused with the list of those that are there", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const names = Object.keys(context.sites());
    for (const site of ["residuals", "", "Residual", "toString", "__proto__", "l_out-3", "kq"]) {
        const error = await expectCode(t, "SITE_UNKNOWN", () => context.capture({ site }));
        for (const name of names) {
            t.true(error?.message.includes(name), name);
        }
        const generate = (): unknown => sequence.generate("text", { capture: { site } });
        await expectCode(t, "SITE_UNKNOWN", generate, /attention_heads, attention_out/);
    }
    await context.dispose();
});
