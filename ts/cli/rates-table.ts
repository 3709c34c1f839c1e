import { promptSets, type RefusalEvaluation, type SetRates } from "../refusal/index.js";
import { percent } from "./numbers.js";
import { table } from "./table.js";

/** How prompts were answered before and after, set by set. */
export function ratesTable(sets: RefusalEvaluation["sets"]): string[] {
    const rows = promptSets.flatMap((set) => {
        const rates = sets[set];
        return rates === undefined
            ? []
            : [
                  [set, "baseline", ...cells(rates.baseline)],
                  ["", "steered", ...cells(rates.steered)],
              ];
    });
    return table(
        [
            { head: "set" },
            { head: "" },
            { head: "prompts", right: true },
            { head: "refused", right: true },
            { head: "mean score", right: true },
            { head: "answered right", right: true },
        ],
        rows,
    );
}

function cells({ n, refusalRate, meanScore, accuracy }: SetRates): string[] {
    return [`${n}`, percent(refusalRate), meanScore.toFixed(3), percent(accuracy)];
}

/** Of the target prompts that steering set free, how many are answered right. */
export function releasedLine({ n, right }: RefusalEvaluation["released"]): string {
    return right === null ? `released: ${n}` : `released: ${n}, of them answered right: ${right}`;
}
