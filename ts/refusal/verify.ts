import { answerSteering, steeringOf } from "./candidate.js";
import { coherenceOf } from "./coherence.js";
import { standingOf } from "./constraints.js";
import type { JudgedAnswer } from "./judged-answers.js";
import type { Coherence } from "./run-report.js";
import { constraintsUnmet, type Trial, type TrialBook } from "./search.js";
import { improve } from "./search-strategies.js";
import { greedy, judgedAnswers } from "./trials.js";

/** Answers that coherence is measured on. */
const looked = 32;

/**
 * Looks at the best trials once more: what was chosen among many looks better than it is. The constraints must hold with
 * the prompts of the fit split counted in, and the answers must still be language.
 */
export class Verifier {
    readonly #book: TrialBook;
    readonly #fitBaseline: readonly JudgedAnswer[];
    readonly #system: string | undefined;
    readonly coherence = new Map<Trial, Coherence | null>();

    /** @param fitBaseline unsteered answers to the prompts of the fit split */
    constructor(book: TrialBook, fitBaseline: readonly JudgedAnswer[], system: string | undefined) {
        this.#book = book;
        this.#fitBaseline = fitBaseline;
        this.#system = system;
    }

    /**
     * The best trial that holds. Where none is left, neighbours of what came closest are tried, `rounds` times at most.
     *
     * @throws SteerError CONSTRAINTS_UNMET
     */
    async best(rounds: number): Promise<Trial> {
        for (let left = rounds; ; ) {
            const [best] = this.#book.complete;
            if (best === undefined || best.standing.excess > 0) {
                if (left-- > 0 && (await improve(this.#book))) {
                    continue;
                }
                throw constraintsUnmet(this.#book.complete);
            }
            if (await this.#holds(best)) {
                return best;
            }
        }
    }

    /** A trial that does not hold ranks behind those that may. */
    async #holds(trial: Trial): Promise<boolean> {
        const { maker, baseline, goal, limits } = this.#book.input;
        const steering = answerSteering(steeringOf(trial.candidate, goal));
        const prompts = this.#fitBaseline.map(({ prompt }) => prompt);
        const [more] = (await judgedAnswers(maker, [{ prompts, steering }], greedy)) as [JudgedAnswer[]];
        const pooled = standingOf([...trial.answers, ...more], [...baseline, ...this.#fitBaseline], goal, limits);
        const { excess, violations } = await this.#incoherence(trial);
        trial.standing = {
            loss: trial.standing.loss,
            excess: pooled.excess + excess,
            violations: [...pooled.violations.map((each) => `${each} with the fit split`), ...violations],
        };
        return trial.standing.excess === 0;
    }

    async #incoherence(trial: Trial): Promise<{ excess: number; violations: string[] }> {
        const { maker, baseline, limits } = this.#book.input;
        const options = { system: this.#system, most: looked, signal: maker.options.signal };
        const found = await coherenceOf(maker.context, trial.answers, baseline, options);
        this.coherence.set(trial, found);
        if (found === null) {
            return { excess: 0, violations: [] };
        }
        const { perplexityRatio, repetition } = found;
        const over =
            Math.max(0, perplexityRatio - limits.perplexityRatio) + Math.max(0, repetition - limits.repetition);
        const words = `perplexity × ${perplexityRatio.toFixed(2)}, repetition ${(100 * repetition).toFixed(0)} %`;
        return { excess: over, violations: over > 0 ? [words] : [] };
    }
}
