export type { Latency } from "./latency-window.js";
export { ScheduledAnswer } from "./scheduled-answer.js";
export { Scheduler, type SchedulerOptions } from "./scheduler.js";
export type { SchedulerStatistics } from "./scheduler-statistics.js";
export type { RequestSteering, ServeRequest, ServeResult, UnfinishedRequest } from "./serve-request.js";
