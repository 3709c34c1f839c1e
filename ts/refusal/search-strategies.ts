import type { Candidate } from "./candidate.js";
import { allCandidates, neighboursOf, spreadCandidates } from "./candidate-space.js";
import { isBetter } from "./constraints.js";
import { roughOrder, type SearchInput, type Trial, TrialBook } from "./search.js";

export const searchStrategies = ["efficient", "grid"] as const;
export type SearchStrategy = (typeof searchStrategies)[number];

export interface EfficientOptions {
    /** Candidates to begin with. */
    candidates: number;
    /** Times that the neighbours of the best are tried. */
    rounds: number;
}

/**
 * Successive halving (arXiv 1502.07943), then steps to better neighbours. Many candidates are measured on few prompts, a
 * quarter of them on half, six on all; then what differs from the best in one respect is tried as long as that helps.
 */
export async function searchEfficiently(input: SearchInput, options: EfficientOptions): Promise<TrialBook> {
    const first = spreadCandidates(input, options.candidates, input.seed);
    const book = new TrialBook(input, first.length + 10 * options.rounds);
    let rung = await book.measure(first, book.part(0.2, 8));
    for (const [keep, share] of [
        [Math.ceil(first.length / 4), 0.5],
        [6, 1],
    ] as const) {
        const kept = [...rung].sort(roughOrder).slice(0, keep);
        rung = await book.measure(
            kept.map(({ candidate }) => candidate),
            book.part(share, 16),
        );
    }
    for (let round = 0; round < options.rounds; round++) {
        if (!(await improve(book))) {
            break;
        }
    }
    return book;
}

/** Tries the neighbours of the best; whether one of them is better. */
async function improve(book: TrialBook): Promise<boolean> {
    const [best] = book.complete;
    if (best === undefined) {
        return false;
    }
    const untried = neighboursOf(best.candidate, book.input).filter((each) => !book.isComplete(each));
    await measureWhere(book, untried, best);
    return book.complete[0] !== best;
}

/**
 * Measures the target prompts first, and the others only for candidates that could be better than the best: early
 * stopping.
 */
async function measureWhere(book: TrialBook, candidates: readonly Candidate[], best: Trial): Promise<void> {
    const trials = await book.measure(candidates, book.targets);
    const promising = trials.filter(({ standing }) => !isBetter(best.standing, standing));
    await book.measure(
        promising.map(({ candidate }) => candidate),
        book.input.prompts,
    );
}

/** Candidates that are begun together, so that batches are full. */
const together = 16;

/** Every combination, each only as far as it could still be the best. */
export async function searchGrid(input: SearchInput, steps: number): Promise<TrialBook> {
    const all = allCandidates(input, steps);
    const book = new TrialBook(input, all.length);
    for (let begin = 0; begin < all.length; begin += together) {
        const group = all.slice(begin, begin + together);
        const few = await book.measure(group, book.part(0.2, 8));
        const [best] = book.complete;
        const open = few.filter((trial) => best === undefined || stillOpen(trial, best, book));
        await measureWhere(
            book,
            open.map(({ candidate }) => candidate),
            best ?? (open[0] as Trial),
        );
    }
    return book;
}

/** Whether a candidate could end below the best's loss if all targets not yet measured came out well. */
function stillOpen({ answers, standing }: Trial, best: Trial, book: TrialBook): boolean {
    const measured = answers.filter(({ prompt }) => prompt.set === "target").length;
    const least = (standing.loss * measured) / book.targets.length;
    return best.standing.excess > 0 || least <= best.standing.loss;
}
