import type { Context } from "llama-steer";

/**
 * Raw logits after each of the answer's tokens but the last, as a fresh sequence of the context computes them: row i is
 * what the i-th token of `answer` was chosen from.
 */
export async function replayLogits(context: Context, prompt: Int32Array, answer: Int32Array): Promise<Float32Array[]> {
    const sequence = context.sequence();
    try {
        const tokens = Int32Array.from([...prompt, ...answer.subarray(0, -1)]);
        const { logits } = await sequence.evaluate(tokens, { logits: "all" });
        const width = context.model.info.vocabularySize;
        return Array.from(answer, (_, i) => {
            const row = prompt.length - 1 + i;
            return logits.slice(row * width, (row + 1) * width);
        });
    } finally {
        await sequence.dispose();
    }
}
