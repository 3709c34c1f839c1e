import test from "ava";
import { loadModel } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { readGguf } from "./support/gguf.js";
import { chatModelPath } from "./support/paths.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

const folder = new TemporaryFolder();

/** The chat model, made to ask for a begin token. */
function modelWithBeginToken() {
    const { bytes, values } = readGguf(chatModelPath);
    const at = values.get("tokenizer.ggml.add_bos_token")?.at;
    if (at === undefined) {
        throw new Error("the test-bed's model does not say whether it adds a begin token");
    }
    const patched = Buffer.from(bytes);
    patched.writeUInt8(1, at);
    return loadModel(folder.write("begin.gguf", patched));
}

test("text gets its begin token where it begins a sequence, in the order of the calls", async (t) => {
    const model = await modelWithBeginToken();
    t.true(model.tokenizer.addsBeginToken);
    const context = await model.createContext({ threads: 1 });
    const sequence = context.sequence();
    const text = "Where is the lake?";
    const length = model.tokenizer.encode(text).length;
    t.is(model.encodePrompt(text).length, length + 1);

    // None of these is waited for: the second text must not get one, the one after clearing must.
    const calls = [sequence.evaluate(text), sequence.evaluate(text)];
    await Promise.all(calls);
    t.is(sequence.position, 2 * length + 1);
    const more = [sequence.clear(), sequence.evaluate(text)];
    await Promise.all(more);
    t.is(sequence.position, length + 1);
    sequence.clear();
    await sequence.generate(text, { maxTokens: 1 }).result();
    t.is(sequence.position, length + 1);

    // What failed or was never started has begun nothing.
    await sequence.clear();
    await expectCode(t, "PROMPT_TOO_LONG", () => sequence.evaluate(new Int32Array(300)));
    await expectCode(t, "ABORTED", () => sequence.generate(text, { signal: AbortSignal.abort() }).result());
    await sequence.evaluate(text);
    t.is(sequence.position, length + 1);
    await model.dispose();
});
