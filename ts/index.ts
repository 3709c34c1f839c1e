export { Activations, type RowLabels, type RowType } from "./activations.js";
export { Capture } from "./capture.js";
export { type CaptureDatasetOptions, captureDataset, type DatasetProgress } from "./capture-dataset.js";
export { CaptureFile, type CaptureFileLabels, type CaptureFileReadOptions } from "./capture-file.js";
export {
    type CaptureFileAppendOptions,
    CaptureFileWriter,
    type CaptureFileWriterOptions,
} from "./capture-file-writer.js";
export type { CaptureOptions } from "./capture-request.js";
export type { ChatMessage, ChatTemplateOptions } from "./chat-template.js";
export type { Comparison, Condition } from "./condition.js";
export {
    Context,
    type ContextOptions,
    type ContextStatistics,
    type EvaluateEntry,
    type EvaluateOptions,
    type Evaluation,
} from "./context.js";
export type { DatasetPrompt } from "./dataset-plan.js";
export {
    type ConditionFit,
    type ConditionMeasure,
    type FindConditionOptions,
    type FoundCondition,
    findCondition,
} from "./find-condition.js";
export {
    type DirectionFit,
    type FitDiagnosticsOptions,
    type FitDirectionOptions,
    type FitDirectionPathOptions,
    fitDirection,
    ridgeBackend,
} from "./fit-direction.js";
export type { VectorDialect } from "./formats/dialects.js";
export type { GgufLayout } from "./formats/gguf-vector.js";
export { type LoadVectorOptions, loadVector } from "./formats/load-vector.js";
export { type SaveVectorOptions, saveVector } from "./formats/save-vector.js";
export { type GeneratedToken, Generation, type GenerationResult } from "./generation.js";
export type { TokenAlternative } from "./generation-hub.js";
export type { GenerationOptions } from "./generation-options.js";
export type { LayerFit, Separation } from "./layer-fit.js";
export type { LayerRange, LayerSelection } from "./layers.js";
export { type LoadModelOptions, loadModel } from "./load-model.js";
export { meanNorms } from "./mean-norms.js";
export { Model, type ModelInfo } from "./model.js";
export { MomentsAccumulator, type MomentsOptions, type NormalizationOptions } from "./moments-accumulator.js";
export type { AddFileMomentsOptions, AddMomentsOptions } from "./moments-source.js";
export {
    type ConstantSchedule,
    type DecaySchedule,
    type FixedSchedule,
    type MarkedSchedule,
    type PhasesSchedule,
    type PiecewiseSchedule,
    type RampSchedule,
    type Schedule,
    type ScheduleFunction,
    type ScheduleStep,
    type StepSchedule,
    scheduleAt,
    type WindowSchedule,
} from "./schedule.js";
export { Sequence } from "./sequence.js";
export { publicSites, type Site, type Sites } from "./site.js";
export { SteerError, type SteerErrorCode } from "./steer-error.js";
export type {
    AblateOptions,
    AddOptions,
    AffineOptions,
    ClampOptions,
    CommonSteerOptions,
    ObserveOptions,
    Operation,
    RotateOptions,
    SetOptions,
    SteerNumbers,
    SteerOptions,
    StrengthUnit,
    TrackOptions,
} from "./steer-options.js";
export { Steering } from "./steering.js";
export { SteeringVector, type SteeringVectorOptions } from "./steering-vector.js";
export type { Marker, TokenSelection } from "./token-selection.js";
export { type DecodeOptions, type EncodeOptions, Tokenizer } from "./tokenizer.js";
export type { CompleteVectorMetadata, VectorMetadata, VectorModel } from "./vector-metadata.js";
export {
    type PresetCondition,
    type PresetIntervention,
    presetOf,
    type SteerAsSavedOptions,
    steerAsSaved,
    type VectorPreset,
    withPreset,
} from "./vector-preset.js";
