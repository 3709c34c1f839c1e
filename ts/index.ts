export { Activations, type RowLabels } from "./activations.js";
export { Capture, type CaptureOptions } from "./capture.js";
export { CaptureFile, type CaptureFileLabels, type CaptureFileReadOptions } from "./capture-file.js";
export {
    type CaptureFileAppendOptions,
    CaptureFileWriter,
    type CaptureFileWriterOptions,
} from "./capture-file-writer.js";
export type { ChatMessage, ChatTemplateOptions } from "./chat-template.js";
export {
    Context,
    type ContextOptions,
    type ContextStatistics,
    type EvaluateEntry,
    type EvaluateOptions,
    type Evaluation,
} from "./context.js";
export {
    type DirectionFit,
    type FitDirectionOptions,
    fitDirection,
    type LayerFit,
    ridgeBackend,
} from "./fit-direction.js";
export { type GeneratedToken, Generation, type GenerationOptions, type GenerationResult } from "./generation.js";
export type { LayerSelection } from "./layers.js";
export { type LoadModelOptions, loadModel } from "./load-model.js";
export { Model, type ModelInfo } from "./model.js";
export { Sequence } from "./sequence.js";
export { SteerError, type SteerErrorCode } from "./steer-error.js";
export { Steering, type SteerOptions, type TokenScope } from "./steering.js";
export { SteeringVector } from "./steering-vector.js";
export { type DecodeOptions, type EncodeOptions, Tokenizer } from "./tokenizer.js";
