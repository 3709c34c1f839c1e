import { answerSteering, steeringOf } from "./candidate.js";
import { standingOf } from "./constraints.js";
import { type JudgedAnswer, ofSet } from "./judged-answers.js";
import { constraintsUnmet, type Trial, type TrialBook } from "./search.js";
import { improve } from "./search-strategies.js";
import { greedy, judgedAnswers } from "./trials.js";

/** Trials that hold, of which the best is taken. */
const enough = 4;
/** How a trial does with so much more strength tells how near it is to where answers go wrong. */
const margin = 1.2;

/**
 * Looks at the best trials once more: what was chosen among many looks better than it is. The constraints must hold with
 * the prompts of the fit split counted in.
 */
export class Verifier {
    readonly #book: TrialBook;
    readonly #fitBaseline: readonly JudgedAnswer[];
    readonly #verified = new Set<Trial>();

    /** @param fitBaseline unsteered answers to the prompts of the fit split */
    constructor(book: TrialBook, fitBaseline: readonly JudgedAnswer[]) {
        this.#book = book;
        this.#fitBaseline = fitBaseline;
    }

    /**
     * Of the first trials that hold, that which costs least. Where none holds, neighbours of what came closest are tried,
     * `rounds` times at most.
     *
     * @throws SteerError CONSTRAINTS_UNMET
     */
    async best(rounds: number): Promise<Trial> {
        const holding: { trial: Trial; cost: number }[] = [];
        for (let left = rounds; holding.length < enough; ) {
            const next = this.#book.complete.find((trial) => !this.#verified.has(trial));
            if (next !== undefined && next.standing.excess === 0) {
                const cost = await this.#verify(next);
                if (next.standing.excess === 0) {
                    holding.push({ trial: next, cost });
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
        return others.reduce((best, each) => (each.cost < best.cost ? each : best), first).trial;
    }

    /**
     * What a trial costs: the share of target prompts of both splits that it leaves, and by how much released answers fall
     * short of being right with more strength, since what only just holds here does not hold for other prompts. A trial that
     * does not hold ranks behind those that may.
     */
    async #verify(trial: Trial): Promise<number> {
        const { maker, baseline, goal, limits } = this.#book.input;
        const prompts = this.#fitBaseline.map(({ prompt }) => prompt);
        const both = [...baseline, ...this.#fitBaseline];
        const { candidate } = trial;
        const pushed = { ...candidate, strength: candidate.strength * margin };
        const [more, beyond] = (await judgedAnswers(
            maker,
            [
                { prompts, steering: answerSteering(steeringOf(candidate, goal)) },
                {
                    prompts: ofSet(both, "target").map(({ prompt }) => prompt),
                    steering: answerSteering(steeringOf(pushed, goal)),
                },
            ],
            greedy,
        )) as [JudgedAnswer[], JudgedAnswer[]];
        const pooled = standingOf([...trial.answers, ...more], both, trial.coherence, goal, limits, 0);
        const further = standingOf(beyond, both, null, goal, limits, 0);
        trial.standing = {
            loss: trial.standing.loss,
            excess: pooled.excess,
            violations: pooled.violations.map((each) => `${each} with the fit split`),
        };
        this.#verified.add(trial);
        return pooled.loss + further.excess;
    }
}
