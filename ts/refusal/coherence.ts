import type { Model } from "../index.js";
import { contentKey } from "./content-key.js";
import { isRefused, type JudgedAnswer } from "./judged-answers.js";
import { messagesOf } from "./prompt-rows.js";
import { type Coherence, coherence } from "./run-report.js";
import { mean } from "./separation.js";
import { type Read, surprises } from "./surprise.js";
import type { AnswerMaker } from "./trials.js";

/** Tokens at the beginning of an answer that are not counted: they decide what it becomes, which steering is to change. */
const decisive = 3;
/** Repeated runs of so many tokens count. */
const gram = 4;
/** Answers that are looked at. */
const most = 32;

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
    const found = await surprises(context, reads, options.signal);
    return found.length === 0 ? undefined : mean(found);
}
