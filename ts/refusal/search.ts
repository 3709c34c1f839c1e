import { SteerError } from "../index.js";
import { answerSteering, type Candidate, candidateKey, describeCandidate, type Goal, steeringOf } from "./candidate.js";
import type { CandidateSource } from "./candidate-space.js";
import { type Constraints, isBetter, type Standing, standingOf } from "./constraints.js";
import { contentKey } from "./content-key.js";
import type { RefusalEvent } from "./events.js";
import { type JudgedAnswer, ofSet, ratesOf } from "./judged-answers.js";
import type { Prompt } from "./prompt.js";
import { promptSets } from "./prompt.js";
import { type AnswerMaker, greedy, judgedAnswers } from "./trials.js";

export interface SearchInput extends CandidateSource {
    maker: AnswerMaker;
    /** Of the select split. */
    prompts: readonly Prompt[];
    /** Unsteered answers to all of them. */
    baseline: readonly JudgedAnswer[];
    goal: Goal;
    limits: Constraints;
    seed: number;
    onEvent?: ((event: RefusalEvent) => void) | undefined;
}

/** A candidate with the answers it was measured by. */
export interface Trial {
    candidate: Candidate;
    answers: JudgedAnswer[];
    standing: Standing;
    /** Measured on all prompts. */
    complete: boolean;
}

/** Measures candidates, remembers what was measured, and keeps their order. */
export class TrialBook {
    readonly input: SearchInput;
    readonly #trials = new Map<string, Trial>();
    readonly #ranked: readonly Prompt[];
    readonly #started = performance.now();
    #total: number;

    /** @param total candidates that will be tried, as far as is known */
    constructor(input: SearchInput, total: number) {
        this.input = input;
        this.#total = total;
        const key = ({ id }: Prompt): string => contentKey("order", input.seed, id);
        this.#ranked = [...input.prompts].sort((a, b) => (key(a) < key(b) ? -1 : 1));
    }

    get trials(): Trial[] {
        return [...this.#trials.values()];
    }

    /** Complete trials, best first. */
    get complete(): Trial[] {
        return this.trials.filter(({ complete }) => complete).sort(compareTrials(this.input.goal));
    }

    /** A share of the prompts of each set, at least `least` of each; the same ones for every candidate. */
    part(share: number, least: number): Prompt[] {
        return promptSets.flatMap((set) => {
            const of = this.#ranked.filter((prompt) => prompt.set === set);
            return of.slice(0, Math.max(least, Math.ceil(share * of.length)));
        });
    }

    /** The target prompts. */
    get targets(): Prompt[] {
        return this.#ranked.filter(({ set }) => set === "target");
    }

    isComplete(candidate: Candidate): boolean {
        return this.#trials.get(candidateKey(candidate))?.complete === true;
    }

    /**
     * Measures candidates on these prompts, beyond what is known of them already, all in the same batches.
     *
     * @returns in the order of `candidates`
     */
    async measure(candidates: readonly Candidate[], prompts: readonly Prompt[]): Promise<Trial[]> {
        const { maker, goal } = this.input;
        const distinct = [...new Map(candidates.map((each) => [candidateKey(each), each]))];
        const lists = distinct.map(([key, candidate]) => {
            const known = new Set(this.#trials.get(key)?.answers.map(({ prompt }) => prompt.id));
            return {
                prompts: prompts.filter(({ id }) => !known.has(id)),
                steering: answerSteering(steeringOf(candidate, goal)),
            };
        });
        const answered = await judgedAnswers(maker, lists, greedy);
        distinct.forEach(([key, candidate], i) => {
            this.#trials.set(key, this.#trial(candidate, answered[i] as JudgedAnswer[]));
        });
        this.#tell();
        return candidates.map((each) => this.#trials.get(candidateKey(each)) as Trial);
    }

    #trial(candidate: Candidate, more: readonly JudgedAnswer[]): Trial {
        const { baseline, goal, limits, prompts } = this.input;
        const answers = [...(this.#trials.get(candidateKey(candidate))?.answers ?? []), ...more];
        return {
            candidate,
            answers,
            standing: standingOf(answers, baseline, goal, limits, 1),
            complete: answers.length === prompts.length,
        };
    }

    #tell(): void {
        const done = this.#trials.size;
        this.#total = Math.max(this.#total, done);
        this.input.onEvent?.({
            type: "progress",
            stage: "search",
            done,
            total: this.#total,
            found: 0,
            occupancy: undefined,
            seconds: (performance.now() - this.#started) / 1000,
        });
    }
}

/** Best first: see {@link isBetter}; of equal ones that which is the more decided about the target prompts. */
export function compareTrials(goal: Goal): (a: Trial, b: Trial) => number {
    const decided = (trial: Trial): number => {
        const { meanScore } = ratesOf(ofSet(trial.answers, "target"));
        return goal === "reduce" ? meanScore : -meanScore;
    };
    return (a, b) => {
        if (isBetter(a.standing, b.standing)) {
            return -1;
        }
        return isBetter(b.standing, a.standing) ? 1 : decided(a) - decided(b);
    };
}

/**
 * Where only part of the prompts was measured, a constraint may be exceeded by chance: it counts, but does not exclude.
 */
export function roughOrder(a: Trial, b: Trial): number {
    const cost = ({ standing }: Trial): number => standing.loss + 3 * standing.excess;
    return cost(a) - cost(b);
}

/** What to say where nothing keeps the constraints: what came closest, and what it broke. */
export function constraintsUnmet(complete: readonly Trial[]): SteerError {
    const closest = complete.slice(0, 3).map(({ candidate, standing }) => {
        const { loss, violations } = standing;
        return `${describeCandidate(candidate)}: ${(100 * loss).toFixed(0)} % of target prompts left, ${violations.join(", ")}`;
    });
    return new SteerError(
        "CONSTRAINTS_UNMET",
        `none of the ${complete.length} settings measured whole keeps the constraints: relax them, give more prompts, or ` +
            `search more. Closest: ${closest.join("; ") || "nothing was measured whole"}`,
    );
}
