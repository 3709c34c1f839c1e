import type { ProgressEvent, RefusalEvent } from "./events.js";

/** Counts what a stage has done, and tells. */
export class StageProgress {
    readonly #stage: ProgressEvent["stage"];
    readonly #total: number;
    readonly #found: number;
    readonly #onEvent: ((event: RefusalEvent) => void) | undefined;
    readonly #started = performance.now();
    #done: number;

    constructor(
        stage: ProgressEvent["stage"],
        total: number,
        found: number,
        onEvent: ((event: RefusalEvent) => void) | undefined,
    ) {
        this.#stage = stage;
        this.#total = total;
        this.#found = found;
        this.#done = found;
        this.#onEvent = onEvent;
        this.advance(0, undefined);
    }

    advance(count: number, occupancy: number | undefined): void {
        this.#done += count;
        this.#onEvent?.({
            type: "progress",
            stage: this.#stage,
            done: this.#done,
            total: this.#total,
            found: this.#found,
            occupancy,
            seconds: (performance.now() - this.#started) / 1000,
        });
    }
}
