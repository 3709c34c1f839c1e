import { readdirSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { captureDataset, type DatasetProgress, MomentsAccumulator } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { chatContext, chatModel } from "./support/testbed.js";

/** Prompts of 1 to 60 tokens, the same in every run. */
function randomPrompts(count: number): Int32Array[] {
    let state = 7;
    const random = (limit: number): number => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor((state / 2 ** 32) * limit);
    };
    return Array.from({ length: count }, () => Int32Array.from({ length: 1 + random(60) }, () => random(890)));
}

const prompts = randomPrompts(75);

test("rows come in prompt order and are those of each prompt by itself", async (t) => {
    const model = await chatModel();
    const captured = await captureDataset(model, prompts, { batchSize: 128 });
    t.is(captured.rowCount(7), prompts.length);
    t.deepEqual([...captured.labels(0).sequence], [...prompts.keys()]);
    t.deepEqual(
        [...captured.labels(3).position],
        Array.from(prompts, (prompt) => prompt.length - 1),
    );
    t.deepEqual(
        [...captured.labels(3).token],
        Array.from(prompts, (prompt) => prompt.at(-1)),
    );
    const context = await chatContext();
    const alone = context.capture({ rows: "last-prompt" });
    const sequence = context.sequence();
    for (const [i, prompt] of prompts.entries()) {
        await sequence.evaluate(prompt);
        for (const layer of alone.layers) {
            const own = alone.row(layer, 0);
            const scale = own.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
            const worst = captured.row(layer, i).reduce((most, x, k) => Math.max(most, Math.abs(x - (own[k] ?? 0))), 0);
            t.true(worst <= 2e-2 * scale, `prompt ${i}, layer ${layer}: ${worst} of ${scale}`);
        }
        await sequence.clear();
    }
    await context.dispose();
});

test("what all prompts begin with is computed once for each sequence, and changes nothing", async (t) => {
    const model = await chatModel();
    const system = Int32Array.from({ length: 40 }, (_, i) => 300 + i);
    const begun = randomPrompts(120).map((prompt) => Int32Array.of(...system, ...prompt));
    let tokens = 0;
    const onProgress = (progress: DatasetProgress): void => {
        tokens = progress.tokens;
    };
    for (const rows of ["last-prompt", { positions: [-1, 45] }] as const) {
        const fit = begun.filter((prompt) => prompt.length > 45);
        const shared = await captureDataset(model, fit, { rows, onProgress });
        t.is(
            tokens,
            fit.reduce((sum, prompt) => sum + prompt.length - 40, 0),
        );
        const whole = await captureDataset(model, [...fit, Int32Array.from({ length: 50 }, () => 5)], {
            rows,
            onProgress,
        });
        t.is(
            tokens,
            fit.reduce((sum, prompt) => sum + prompt.length, 50),
            "one that begins otherwise",
        );
        const count = shared.rowCount(6);
        t.deepEqual(shared.labels(6).position, whole.labels(6).position.slice(0, count));
        t.deepEqual(shared.labels(6).token, whole.labels(6).token.slice(0, count));
        for (let row = 0; row < count; row++) {
            const a = shared.row(6, row);
            const b = whole.row(6, row);
            const scale = b.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
            t.true(a.every((each, i) => Math.abs(each - (b[i] as number)) <= 2e-2 * scale));
        }
    }
    await captureDataset(model, begun, { rows: "prompt", onProgress });
    t.is(
        tokens,
        begun.reduce((sum, prompt) => sum + prompt.length, 0),
        "rows of the beginning are wanted",
    );
});

test("other rows, layers, sites and types, each with its prompt", async (t) => {
    const model = await chatModel();
    const all = await captureDataset(model, prompts, { rows: "all", layers: [3, 7] });
    t.is(
        all.rowCount(7),
        prompts.reduce((sum, prompt) => sum + prompt.length, 0),
    );
    let row = 0;
    for (const [i, prompt] of prompts.entries()) {
        for (const [position, token] of prompt.entries()) {
            t.is(all.labels(7).sequence[row], i);
            t.is(all.labels(7).position[row], position);
            t.is(all.labels(3).token[row], token);
            row++;
        }
    }
    const ends = await captureDataset(model, prompts, { rows: { positions: [0, -1] }, layers: 3, type: "f16" });
    t.is(ends.type, "f16");
    const longer = prompts.filter((prompt) => prompt.length > 1).length;
    t.is(ends.rowCount(3), prompts.length + longer, "of a prompt of one token both are the same row");
    const heads = await captureDataset(model, ["Where?", [{ role: "user", content: "Where?" }]], {
        site: "attention_heads",
        layers: { depth: 1 },
    });
    t.deepEqual(heads.layers, [7]);
    t.is(heads.rowCount(7), 2);
    t.true((heads.labels(7).position[0] as number) < (heads.labels(7).position[1] as number), "text goes as it is");
});

test("passes are full, and progress says how far it is", async (t) => {
    const many = randomPrompts(400);
    const seen: DatasetProgress[] = [];
    await captureDataset(await chatModel(), many, {
        contexts: 1,
        threads: 1,
        onProgress: (progress) => seen.push(progress),
    });
    t.like(seen[0], { done: 0, total: 400, tokens: 0 });
    t.like(seen.at(-1), { done: 400, total: 400, tokens: many.reduce((sum, prompt) => sum + prompt.length, 0) });
    t.true(seen.every((each, i) => i === 0 || each.done > (seen[i - 1]?.done as number)));
    t.true((seen.at(-1)?.occupancy as number) > 0.8, `occupancy ${seen.at(-1)?.occupancy}`);
});

test("an aborted run goes on in its directory without doing a prompt twice, and ends with the same rows", async (t) => {
    const model = await chatModel();
    const directory = join(new TemporaryFolder().path, "rows");
    const total = prompts.reduce((sum, prompt) => sum + prompt.length, 0);
    let before = 0;
    for (let stops = 0; stops < 3; stops++) {
        const stop = new AbortController();
        const cause = new Error(`stop ${stops}`);
        let done = -1;
        const onProgress = (progress: DatasetProgress): void => {
            before = progress.done;
            if (done >= 0) {
                stop.abort(cause);
            }
            done = progress.done;
        };
        const options = { directory, batchSize: 128, contexts: 2, signal: stop.signal, onProgress };
        const error = await t.throwsAsync(captureDataset(model, prompts, options), { code: "ABORTED" });
        t.is(error?.cause, cause);
        t.true(before > 0 && before < prompts.length);
    }
    let tokens = 0;
    const file = await captureDataset(model, prompts, {
        directory,
        batchSize: 128,
        onProgress: (progress) => {
            tokens = progress.tokens;
        },
    });
    t.true(tokens > 0 && tokens < total);
    t.true(file.complete);
    t.deepEqual(
        [...file.labels.prompt].sort((a, b) => a - b),
        [...prompts.keys()],
    );
    t.is(file.metadata.rows, '"last-prompt"');
    const inMemory = await captureDataset(model, prompts, { batchSize: 128 });
    const read = await file.read();
    for (const [row, prompt] of file.labels.prompt.entries()) {
        t.is(file.labels.token[row], prompts[prompt]?.at(-1));
        const a = read.row(5, row);
        const b = inMemory.row(5, prompt);
        t.true(a.every((each, i) => Math.abs(each - (b[i] as number)) < 0.2));
    }
    file.dispose();
    const again = await captureDataset(model, prompts, { directory, onProgress: ({ tokens: now }) => t.is(now, 0) });
    t.is(again.rows, prompts.length, "a finished directory is only read");
    again.dispose();
    await expectCode(t, "INVALID_ARGUMENT", () => captureDataset(model, prompts.slice(1), { directory }));
    await expectCode(t, "INVALID_ARGUMENT", () => captureDataset(model, prompts, { directory, rows: "all" }));
});

test("what cannot be captured is refused before anything is computed or written", async (t) => {
    const model = await chatModel();
    const folder = new TemporaryFolder().path;
    const directory = join(folder, "none");
    const long = new Int32Array(model.info.trainingContext + 1);
    const refused: [string, () => Promise<unknown>, RegExp][] = [
        ["INVALID_ARGUMENT", () => captureDataset(model, [], { directory }), /at least one/],
        ["PROMPT_EMPTY", () => captureDataset(model, ["Who?", ""], { directory }), /prompt 1/],
        ["PROMPT_TOO_LONG", () => captureDataset(model, [Int32Array.of(1), long], { directory }), /prompt 1 has/],
        [
            "NO_ROW_SELECTED",
            () => captureDataset(model, [Int32Array.of(1, 2)], { directory, rows: { positions: -3 } }),
            /prompt 0 has 2 tokens/,
        ],
        ["INVALID_ARGUMENT", () => captureDataset(model, prompts, { directory, rows: "generated" }), /generated/],
        ["SITE_UNKNOWN", () => captureDataset(model, prompts, { directory, site: "nowhere" }), /residual_mid/],
        ["LAYER_OUT_OF_RANGE", () => captureDataset(model, prompts, { directory, layers: 8 }), /0 to 7/],
        ["INVALID_ARGUMENT", () => captureDataset(model, prompts, { contexts: 0 }), /contexts/],
        ["INVALID_ARGUMENT", () => captureDataset(model, prompts, { batchSize: 1.5 }), /batchSize/],
        ["INVALID_ARGUMENT", () => captureDataset(model, [Int32Array.of(9_999)]), /vocabulary/],
        ["ABORTED", () => captureDataset(model, prompts, { directory, signal: AbortSignal.abort() }), /aborted/],
    ];
    for (const [code, call, message] of refused) {
        await expectCode(t, code as "INVALID_ARGUMENT", call, message);
    }
    t.deepEqual(readdirSync(folder), []);
});

test("rows in memory go on to running moments", async (t) => {
    const captured = await captureDataset(await chatModel(), prompts, { layers: [2] });
    using moments = new MomentsAccumulator({ layers: [2], width: captured.width, secondMoment: "diagonal" });
    await moments.add(captured);
    t.is(moments.count(2), prompts.length);
    const first = Array.from(prompts, (_, i) => captured.row(2, i)[0] as number);
    const mean = first.reduce((sum, each) => sum + each, 0) / first.length;
    t.true(Math.abs((moments.mean(2)[0] as number) - mean) < 1e-6 * Math.max(1, Math.abs(mean)));
});
