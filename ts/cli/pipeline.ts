// The one file that knows where the pipeline's functions are.

import type { Model, SteeringVector } from "../index.js";
import type { ComparedRates, Judge, Prompt, RefusalEvent, RunDirectory, RunReport, Split } from "../refusal/index.js";

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
