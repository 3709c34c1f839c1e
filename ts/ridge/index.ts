export type { RidgeFitOptions, RidgeLambda, RidgeRowFitOptions } from "./lambda.js";
export { type AccumulatedRidgeOptions, RidgeAccumulator, type RidgeAccumulatorOptions } from "./ridge-accumulator.js";
export type { RidgeRows } from "./ridge-rows.js";
export type { RidgeSolution } from "./ridge-solution.js";
export type { AddRidgeFileOptions, AddRidgeRowsOptions, RidgeWatch } from "./ridge-source.js";
export {
    backend,
    type RidgePathOptions,
    ridgeBytes,
    ridgePath,
    type SolveRidgeOptions,
    solveRidge,
} from "./solve-ridge.js";
export { setThreads, threads } from "./threads.js";
