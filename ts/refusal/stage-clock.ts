import type { PhaseEvent, ProgressEvent, RefusalEvent } from "./events.js";
import type { RunReport } from "./run-report.js";

const phases = [
    "sampling",
    "capturing",
    "fitting",
    "baseline",
    "searching",
    "evaluating",
] as const satisfies PhaseEvent["phase"][];

/** Tells the phases of a run as they begin, and keeps what each took. */
export class StageClock {
    readonly #tell: ((event: RefusalEvent) => void) | undefined;
    readonly #stages: RunReport["stages"] = [];
    /** The last that each stage of the phase told. */
    readonly #progress = new Map<string, ProgressEvent>();
    #phase: PhaseEvent["phase"] | undefined;
    #started = 0;

    constructor(tell: ((event: RefusalEvent) => void) | undefined) {
        this.#tell = tell;
    }

    /** Passes events on. */
    readonly onEvent = (event: RefusalEvent): void => {
        if (event.type === "progress") {
            this.#progress.set(event.stage, event);
        }
        this.#tell?.(event);
    };

    /** A phase begins, and with it the one before ends. */
    begin(phase: PhaseEvent["phase"]): void {
        this.end();
        this.#phase = phase;
        this.#started = performance.now();
        this.#tell?.({ type: "phase", phase, number: phases.indexOf(phase) + 1, of: phases.length });
    }

    count(stage: ProgressEvent["stage"], done: number, total: number): void {
        const seconds = (performance.now() - this.#started) / 1000;
        this.onEvent({ type: "progress", stage, done, total, found: 0, occupancy: undefined, seconds });
    }

    end(): void {
        if (this.#phase !== undefined) {
            this.#stages.push({ name: this.#phase, ...this.#summary() });
        }
        this.#phase = undefined;
        this.#progress.clear();
    }

    #summary(): Omit<RunReport["stages"][number], "name"> {
        const told = [...this.#progress.values()];
        const counted = told.find(({ stage }) => stage === "search") ?? told[0];
        const full = told.map(({ occupancy }) => occupancy).find((each) => each !== undefined);
        return {
            seconds: (performance.now() - this.#started) / 1000,
            items: counted?.done ?? 0,
            found: counted?.found ?? 0,
            occupancy: full ?? null,
        };
    }

    get stages(): RunReport["stages"] {
        return this.#stages;
    }
}
