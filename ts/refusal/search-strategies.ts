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
export async function improve(book: TrialBook): Promise<boolean> {
    const [best] = book.complete;
    if (best === undefined) {
        return false;
    }
    const untried = neighboursOf(best.candidate, book.input).filter((each) => !book.isComplete(each));
    await measureWhereOpen(book, untried);
    return book.complete[0] !== best;
}

/** Candidates that are measured whole side by side: as one ends, the others may need no measuring any more. */
const sideBySide = 4;

/**
 * Measures the target prompts first, and the others, from the best down, only where a candidate could still be better than
 * the best so far: early stopping.
 */
async function measureWhereOpen(book: TrialBook, candidates: readonly Candidate[]): Promise<void> {
    const order = (await book.measure(candidates, book.targets)).sort(roughOrder);
    while (order.length > 0) {
        const [best] = book.complete;
        const open = order
            .splice(0, sideBySide)
            .filter((each) => !isBetter(best?.standing ?? each.standing, each.standing));
        await book.measure(
            open.map(({ candidate }) => candidate),
            book.input.prompts,
        );
    }
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
        await measureWhereOpen(
            book,
            open.map(({ candidate }) => candidate),
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
