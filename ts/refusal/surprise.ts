import type { Context, Sequence } from "../index.js";

/** Logits that are held at a time. */
const room = 16 * 1024 * 1024;

/** Tokens in two parts: what is only read, and what is counted, from its second token on. */
export interface Read {
    begin: Int32Array;
    /** Two tokens or more. */
    rest: Int32Array;
}

/**
 * The mean -ln p of the tokens of each `rest`, but for its first, under the unsteered model; several side by side.
 *
 * @throws SteerError as {@link Context.evaluate}, TOO_MANY_SEQUENCES
 */
export async function surprises(
    context: Context,
    reads: readonly Read[],
    signal: AbortSignal | undefined,
): Promise<number[]> {
    const longest = Math.max(1, ...reads.map(({ rest }) => rest.length));
    const together = Math.floor(room / longest / context.model.info.vocabularySize);
    const count = Math.max(1, Math.min(context.options.sequences, together, reads.length));
    const sequences = Array.from({ length: count }, () => context.sequence());
    const found: number[] = [];
    try {
        for (let first = 0; first < reads.length; first += count) {
            const part = reads.slice(first, first + count);
            found.push(...(await surprisesTogether(context, sequences, part, signal)));
        }
    } finally {
        await Promise.all(sequences.map((each) => each.dispose()));
    }
    return found;
}

async function surprisesTogether(
    context: Context,
    sequences: readonly Sequence[],
    reads: readonly Read[],
    signal: AbortSignal | undefined,
): Promise<number[]> {
    const options = signal === undefined ? {} : { signal };
    const entries = (part: keyof Read) =>
        reads.map((each, i) => ({ sequence: sequences[i] as Sequence, tokens: each[part] }));
    await context.evaluate(entries("begin"), options);
    const rests = entries("rest").map((each) => ({ ...each, logits: "all" as const }));
    const { logits } = await context.evaluate(rests, options);
    await Promise.all(sequences.map((each) => each.clear()));
    const { vocabularySize } = context.model.info;
    let row = 0;
    return reads.map(({ rest }) => {
        // Logits of a token are about the next: those of the last one about none that is here.
        let sum = 0;
        for (let i = 0; i + 1 < rest.length; i++) {
            const values = logits.subarray((row + i) * vocabularySize, (row + i + 1) * vocabularySize);
            sum += logSumExp(values) - (values[rest[i + 1] as number] as number);
        }
        row += rest.length;
        return sum / (rest.length - 1);
    });
}

function logSumExp(row: Float32Array): number {
    let largest = Number.NEGATIVE_INFINITY;
    for (const value of row) {
        largest = value > largest ? value : largest;
    }
    let sum = 0;
    for (const value of row) {
        sum += Math.exp(value - largest);
    }
    return largest + Math.log(sum);
}
