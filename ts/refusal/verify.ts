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
/** Trials that hold, of which the best is taken. */
const enough = 4;

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
     * Of the first trials that hold, that which leaves the fewest target prompts of both splits. Where none holds, neighbours
     * of what came closest are tried, `rounds` times at most.
     *
     * @throws SteerError CONSTRAINTS_UNMET
     */
    async best(rounds: number): Promise<Trial> {
        const holding: { trial: Trial; loss: number }[] = [];
        for (let left = rounds; holding.length < enough; ) {
            const next = this.#book.complete.find((trial) => !this.coherence.has(trial));
            if (next !== undefined && next.standing.excess === 0) {
                const loss = await this.#verify(next);
                if (next.standing.excess === 0) {
                    holding.push({ trial: next, loss });
                }
                continue;
            }
            if (holding.length > 0 || left-- === 0 || !(await improve(this.#book))) {
                break;
            }
        }
        const [first, ...others] = holding;
        if (first === undefined) {
            throw constraintsUnmet(this.#book.complete);
        }
        return others.reduce((best, each) => (each.loss < best.loss ? each : best), first).trial;
    }

    /** The loss with the fit split; a trial that does not hold ranks behind those that may. */
    async #verify(trial: Trial): Promise<number> {
        const { maker, baseline, goal, limits } = this.#book.input;
        const steering = answerSteering(steeringOf(trial.candidate, goal));
        const prompts = this.#fitBaseline.map(({ prompt }) => prompt);
        const [more] = (await judgedAnswers(maker, [{ prompts, steering }], greedy)) as [JudgedAnswer[]];
        const pooled = standingOf([...trial.answers, ...more], [...baseline, ...this.#fitBaseline], goal, limits, 0);
        const { excess, violations } = await this.#incoherence(trial);
        trial.standing = {
            loss: trial.standing.loss,
            excess: pooled.excess + excess,
            violations: [...pooled.violations.map((each) => `${each} with the fit split`), ...violations],
        };
        return pooled.loss;
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
