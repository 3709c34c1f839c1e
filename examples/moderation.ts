// A server that refuses to speak of one topic, here food. A condition decides once, at the last token of a prompt, whether
// it is about that; if so, the answer is steered towards refusal. All other answers are what they are without steering,
// and no request can remove it. Of food that it has not seen it refuses 25 of 30 questions: a bias, not a guard.
//
//   node scripts/build.mjs examples && node dist-examples/moderation.js [PORT]

import { captureDataset, findCondition, fitDirection, loadModel, type Sequence } from "llama-steer";
import { type Prompt, readPrompts } from "llama-steer/refusal";
import { Scheduler, serve } from "llama-steer/server";

const model = await loadModel("models/testbed/valdoria-chat.gguf");
// Prompts of the eval split are left to judge by.
const prompts = (await readPrompts("models/testbed/prompts.jsonl")).filter(({ split }) => split === "fit");
const answered = prompts.filter(({ set }) => set === "neutral");
const refused = prompts.filter(({ set }) => set === "target");

const isTopic = ({ prompt }: Prompt): boolean => /\b(bread|broth|cake|cheese|pie|porridge|soup|stew)\b/.test(prompt);
const rowsOf = (list: readonly Prompt[]) => {
    const conversations = list.map(({ prompt }) => [{ role: "user", content: prompt }]);
    return captureDataset(model, conversations, { threads: 1, contexts: 1 });
};
/** From the prompts of a list that are not of a kind to those that are. */
const directionOf = async (list: readonly Prompt[], isKind: (prompt: Prompt) => boolean) => {
    const rows = await rowsOf(list);
    const scores = Float32Array.from(list, (prompt) => (isKind(prompt) ? 1 : -1));
    return (await fitDirection({ activations: rows.packed(), layers: rows.layers, scores })).vector;
};

const towardsRefusal = await directionOf([...answered, ...refused], ({ set }) => set === "target");
const towardsTopic = await directionOf(answered, isTopic);
const found = await findCondition({
    vector: towardsTopic,
    positive: await rowsOf(answered.filter(isTopic)),
    negative: await rowsOf(answered.filter((prompt) => !isTopic(prompt))),
    // The condition must be decided before the layers that are steered.
    layers: { from: 0, to: 2 },
});
const { layer, threshold, compare } = found;
const when = { vector: towardsTopic, layer, threshold, compare, decide: "last-prompt" } as const;
const fixed = {
    key: "moderation",
    apply: (sequence: Sequence): void => {
        sequence.steer(towardsRefusal, { layers: [3, 4], strength: 1.5, tokens: "last-prompt", when });
    },
};

const context = await model.createContext({ sequences: 12, promptBudget: 64, threads: 1 });
const scheduler = new Scheduler(context, { concurrency: 8 });
const server = await serve({ scheduler, model: "valdoria", fixed, port: Number(process.argv[2] ?? 8080) });
console.log(server.url);
process.once("SIGINT", async () => {
    await server.close({ graceMilliseconds: 10_000 });
    await model.dispose();
});
