import type { Context, Model, Sequence } from "../index.js";
import { contentKey } from "./content-key.js";
import { isRefused, type JudgedAnswer } from "./judged-answers.js";
import { messagesOf } from "./prompt-rows.js";
import { type Coherence, coherence } from "./run-report.js";
import { mean } from "./separation.js";
import type { AnswerMaker } from "./trials.js";

/** Tokens at the beginning of an answer that are not counted: they decide what it becomes, which steering is to change. */
const decisive = 3;
/** Repeated runs of so many tokens count. */
const gram = 4;
/** Answers that are looked at. */
const most = 32;
/** Logits that are held at a time. */
const room = 16 * 1024 * 1024;

/**
 * Whether steered answers are still language: how perplexing they are to the unsteered model behind their first tokens,
 * beside the baseline's answers of the same kind (refusals or not, whichever the steered ones mostly are), and how much
 * they repeat themselves.
 */
export class CoherenceMeter {
    readonly #maker: AnswerMaker;
    readonly #baseline: readonly JudgedAnswer[];
    /** Mean surprise of the baseline's answers and of its refusals. */
    readonly #known = new Map<boolean, number | undefined>();

    constructor(maker: AnswerMaker, baseline: readonly JudgedAnswer[]) {
        this.#maker = maker;
        this.#baseline = baseline;
    }

    /** Null where there is nothing to compare. What was measured is kept in the run's directory. */
    async measure(steered: readonly JudgedAnswer[]): Promise<Coherence | null> {
        const changed = steered.filter(({ prompt }) => prompt.set === "target");
        const refused = changed.filter(isRefused).length > changed.length / 2;
        const looked = changed.filter((each) => isRefused(each) === refused).slice(0, most);
        const known = this.#baseline.filter((each) => isRefused(each) === refused).slice(0, most);
        const { run, model } = this.#maker.options;
        const texts = (list: readonly JudgedAnswer[]) => list.map(({ prompt, answer }) => [prompt.prompt, answer.text]);
        const key = contentKey("coherence", model, this.#maker.options.system, texts(looked), texts(known));
        const journal = run?.journal("coherence", coherence.nullable());
        const before = journal?.get(key);
        if (before !== undefined) {
            return before;
        }
        const found = await this.#compared(looked, known, refused);
        journal?.append([[key, found]]);
        return found;
    }

    async #compared(
        looked: readonly JudgedAnswer[],
        known: readonly JudgedAnswer[],
        refused: boolean,
    ): Promise<Coherence | null> {
        if (!this.#known.has(refused)) {
            this.#known.set(refused, await surprise(this.#maker, known));
        }
        const [after, before] = [await surprise(this.#maker, looked), this.#known.get(refused)];
        if (after === undefined || before === undefined) {
            return null;
        }
        const { model } = this.#maker.context;
        return {
            // Infinity could not be kept.
            perplexityRatio: Math.min(Math.exp(after - before), Number.MAX_VALUE),
            repetition: mean(looked.map((each) => repetitionOf(tokensOf(model, each)))),
        };
    }
}

/** Share of an answer's tokens that end a run of tokens which the answer has had before. */
function repetitionOf(tokens: Int32Array): number {
    const seen = new Set<string>();
    let repeated = 0;
    for (let end = gram; end <= tokens.length; end++) {
        const run = tokens.subarray(end - gram, end).join();
        repeated += seen.has(run) ? 1 : 0;
        seen.add(run);
    }
    return tokens.length === 0 ? 0 : repeated / tokens.length;
}

const tokensOf = (model: Model, { answer }: JudgedAnswer): Int32Array => model.tokenizer.encode(answer.text);

/** An answer in two parts: what is only read, and what is counted. */
interface Read {
    begin: Int32Array;
    rest: Int32Array;
}

/**
 * Mean over answers of the mean -log p of their tokens behind the first ones, under the unsteered model. Answers too short to
 * say anything are left out; undefined where none is left.
 */
async function surprise(
    { context, options }: AnswerMaker,
    answers: readonly JudgedAnswer[],
): Promise<number | undefined> {
    const { model } = context;
    const reads = answers.flatMap((each): Read[] => {
        const tokens = tokensOf(model, each);
        const prompt = model.encodePrompt(messagesOf(each.prompt.prompt, options.system));
        const begin = Int32Array.from([...prompt, ...tokens.subarray(0, decisive)]);
        const rest = tokens.subarray(decisive);
        return rest.length < 2 || begin.length + rest.length > context.options.contextSize ? [] : [{ begin, rest }];
    });
    const longest = Math.max(1, ...reads.map(({ rest }) => rest.length));
    const together = Math.floor(room / longest / model.info.vocabularySize);
    const count = Math.max(1, Math.min(context.options.sequences, together, reads.length));
    const sequences = Array.from({ length: count }, () => context.sequence());
    const found: number[] = [];
    try {
        for (let first = 0; first < reads.length; first += count) {
            const part = reads.slice(first, first + count);
            found.push(...(await surprises(context, sequences, part, options.signal)));
        }
    } finally {
        await Promise.all(sequences.map((each) => each.dispose()));
    }
    return found.length === 0 ? undefined : mean(found);
}

async function surprises(
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
