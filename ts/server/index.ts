export { createHandler, type Handler, type HandlerLimits, type HandlerOptions } from "./handler.js";
export type { Latency } from "./latency-window.js";
export { nodeListener } from "./node-listener.js";
export { ScheduledAnswer } from "./scheduled-answer.js";
export { Scheduler, type SchedulerOptions } from "./scheduler.js";
export type { SchedulerStatistics } from "./scheduler-statistics.js";
export { RunningServer, type ServeOptions, serve } from "./serve.js";
export type { RequestSteering, ServeRequest, ServeResult, UnfinishedRequest } from "./serve-request.js";
export { type VectorDescription, VectorRegistry } from "./vector-registry.js";
