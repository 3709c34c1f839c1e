import type { PromptSet } from "../prompt.js";
import type { ReportCandidate } from "../run-report.js";
import { percent } from "./numbers.js";
import { candidateInWords, setNames } from "./words.js";

/** How a candidate stands: it breaks a constraint, was given up before all was measured, or neither. */
export type Standing = "allowed" | "violates" | "incomplete";

export function standingOf({ violations, complete }: ReportCandidate): Standing {
    if (violations.length > 0) {
        return "violates";
    }
    return complete ? "allowed" : "incomplete";
}

/** What is shown where a pointer rests on a candidate. */
export function candidateTitle(candidate: ReportCandidate): string {
    const rates = (["target", "preserve", "neutral"] satisfies PromptSet[]).flatMap((set) => {
        const found = candidate.sets[set];
        return found === undefined
            ? []
            : [
                  `${setNames[set].toLowerCase()} refused ${percent(found.refusalRate)}${
                      found.accuracy === null ? "" : `, right ${percent(found.accuracy)}`
                  }`,
              ];
    });
    return [
        candidateInWords(candidate),
        ...rates,
        ...(candidate.complete ? [] : ["not measured on all prompts"]),
        ...candidate.violations.map((each) => `breaks: ${each}`),
    ].join("\n");
}
