// The one file that knows where the pipeline's functions are.

import type { Model, Sequence, Steering, SteeringVector } from "../index.js";
import type { Judge, Prompt, RefusalEvent, RunDirectory, Split } from "../refusal/index.js";
import type { ComparedRates, RunReport } from "../refusal/run-report.js";

export type { RunReport, SetRates } from "../refusal/run-report.js";

interface Common {
    model: Model;
    modelPath: string;
    judge: Judge;
    prompts: readonly Prompt[];
    run?: RunDirectory | undefined;
    samples?: number | undefined;
    temperature?: number | undefined;
    maxTokens?: number | undefined;
    seed?: number | undefined;
    system?: string | undefined;
    sequences?: number | undefined;
    threads?: number | undefined;
    signal?: AbortSignal | undefined;
    onEvent?: ((event: RefusalEvent) => void) | undefined;
}
export interface RefusalEvaluation {
    sets: RunReport["evaluation"]["sets"];
    released: { n: number; right: number | null };
    settings: Record<string, unknown>;
}
export type { ComparedRates };

const refusal = async (): Promise<never> => (await import("../refusal/index.js")) as never;

export async function fitRefusal(
    options: Common & { goal?: "reduce" | "induce"; search?: "grid" | "efficient" | undefined },
): Promise<{ vector: SteeringVector; report: RunReport }> {
    return ((await refusal()) as any).fitRefusal(options);
}
export async function evaluateRefusal(
    options: Common & { vector: SteeringVector; strength?: number | undefined; split?: Split | undefined },
): Promise<RefusalEvaluation> {
    return ((await refusal()) as any).evaluateRefusal(options);
}
export function steerAsSaved(sequence: Sequence, vector: SteeringVector, { strength = 1 } = {}): Steering {
    return sequence.steer(vector, { strength });
}
export async function readReport(path: string): Promise<RunReport> {
    return ((await refusal()) as any).readReport(path);
}
export async function renderReport(report: RunReport): Promise<string> {
    return ((await refusal()) as any).renderReport(report);
}
export async function writeReport(path: string, report: RunReport): Promise<void> {
    return ((await refusal()) as any).writeReport(path, report);
}
