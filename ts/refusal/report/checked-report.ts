import { issuesOf } from "../parse.js";
import type { ReportCandidate, RunReport } from "../run-report.js";
import { runReport } from "../run-report.js";

/** A report that holds what its schema says, or what is wrong with it in one line. */
export type CheckedReport = { report: RunReport; chosen: ReportCandidate } | { wrong: string };

export function checkedReport(value: unknown): CheckedReport {
    const result = runReport.safeParse(value);
    if (!result.success) {
        return { wrong: issuesOf(result.error) };
    }
    const report = result.data;
    const chosen = report.candidates[report.chosen];
    return chosen === undefined
        ? { wrong: `chosen: there is no candidate ${report.chosen} among ${report.candidates.length}` }
        : { report, chosen };
}
