export type { Answerer, AnswererOptions, AskedAnswer, GivenAnswer, TakeAnswer } from "./answerer.js";
export {
    type Answer,
    type AnswerPrompt,
    type AnswerSteering,
    type SampleOptions,
    sampleAnswers,
} from "./answers.js";
export {
    checkJudge,
    type JudgeAgreement,
    type JudgeCheckOptions,
    type LabelledAnswer,
    type VerdictCounts,
} from "./check-judge.js";
export type { Constraints } from "./constraints.js";
export { contentKey, fileFingerprint } from "./content-key.js";
export { EndpointAnswerer, type EndpointAnswererOptions } from "./endpoint-answerer.js";
export type { EndpointCounts, EndpointOptions } from "./endpoint-client.js";
export { EndpointJudge, type EndpointJudgeOptions } from "./endpoint-judge.js";
export { evaluateRefusal, type RefusalEvaluation } from "./evaluate-refusal.js";
export type {
    AgreementEvent,
    AnswerEvent,
    PhaseEvent,
    ProgressEvent,
    ProgressStage,
    RefusalEvent,
    RetryEvent,
    VerdictEvent,
} from "./events.js";
export { fitRefusal, type RefusalFit } from "./fit-refusal.js";
export type { Judge, JudgedText, JudgeOptions, Verdict } from "./judge.js";
export { type JudgeAnswersOptions, judgeAnswers } from "./judge-answers.js";
export type { JudgedAnswer } from "./judged-answers.js";
export { LocalJudge, type LocalJudgeOptions } from "./local-judge.js";
export type { EvaluateRefusalOptions, FitRefusalOptions } from "./pipeline-options.js";
export { type Prompt, type PromptSet, promptSets, requirePrompts, type Split, splits } from "./prompt.js";
export type { PromptColumns } from "./prompt-shapes.js";
export { type PromptFile, readPrompts } from "./read-prompts.js";
export { type RefusalKind, refusalKinds } from "./refusal-kinds.js";
export { renderReport } from "./report/render-report.js";
export { readReport, writeReport } from "./report/report-files.js";
export { RunDirectory } from "./run-directory.js";
export type { Coherence, ComparedRates, ReportCandidate, RunReport, SetRates } from "./run-report.js";
export {
    classOf,
    type LabelledSample,
    type RefusalScore,
    refusalScores,
    requireBothClasses,
    type ScoreClass,
    type ScoreOptions,
} from "./scores.js";
export type { SplitOptions } from "./splits.js";
export { defaultThoughtMarkers, splitThought, type ThoughtMarkers, type ThoughtSplit } from "./thoughts.js";
