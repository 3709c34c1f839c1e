import { Presets, SingleBar } from "cli-progress";
import type { ProgressEvent, RefusalEvent } from "../refusal/index.js";
import type { Output } from "./output.js";

/** Between two lines about one stage, where there is no terminal to draw a bar on. */
const lineMilliseconds = 10_000;

/** How far a stage is. */
interface Stage {
    name: string;
    done: number;
    total: number;
    /** What else there is to say of it. */
    note: string;
}

/**
 * Shows on standard error how far a command is: as bars on a terminal, elsewhere as a line at the end of each stage and
 * every ten seconds, and not at all where it is to be quiet.
 */
export class Progress {
    readonly #output: Output;
    readonly #bars = process.stderr.isTTY === true;
    #bar: SingleBar | undefined;
    #stage: Stage | undefined;
    #lastLine = performance.now();
    #retries = 0;

    constructor(output: Output) {
        this.#output = output;
    }

    /** For `onEvent` of the stages of Refusal Steering. */
    readonly onEvent = (event: RefusalEvent): void => {
        if (event.type === "progress" && event.total > 0) {
            this.#show({ name: event.stage, done: event.done, total: event.total, note: this.#noteOf(event) }, true);
        } else if (event.type === "retry") {
            this.#retries++;
            this.pause();
            this.#output.note(`retry ${event.attempt}: ${event.message}`);
        }
    };

    /** For `onProgress` of what tells a fraction in 0 .. 1. */
    fraction(name: string): (fraction: number) => void {
        return (fraction) => this.#show({ name, done: Math.round(100 * fraction), total: 100, note: "%" }, false);
    }

    /** Leaves what is shown as it stands, so that something else can be written. */
    pause(): void {
        this.#bar?.stop();
        this.#bar = undefined;
    }

    #noteOf({ found, occupancy, seconds }: ProgressEvent): string {
        const parts = [
            `${seconds.toFixed(1)} s`,
            ...(found > 0 ? [`${found} found`] : []),
            ...(occupancy === undefined ? [] : [`batches ${Math.round(100 * occupancy)} % full`]),
            ...(this.#retries > 0 ? [`${this.#retries} retries`] : []),
        ];
        return parts.join(", ");
    }

    #show(stage: Stage, endIsNews: boolean): void {
        if (this.#output.quiet) {
            return;
        }
        const isNew = stage.name !== this.#stage?.name || stage.done < this.#stage.done;
        this.#stage = stage;
        if (this.#bars) {
            this.#draw(stage, isNew);
        } else {
            this.#line(stage, isNew, endIsNews);
        }
    }

    #draw({ name, done, total, note }: Stage, isNew: boolean): void {
        if (isNew) {
            this.pause();
        }
        if (this.#bar === undefined) {
            const format = `${name.padEnd(10)} {bar} {value}/{total}  {note}`;
            this.#bar = new SingleBar({ format, gracefulExit: false, stream: process.stderr }, Presets.shades_classic);
            this.#bar.start(total, done, { note });
        }
        this.#bar.setTotal(total);
        this.#bar.update(done, { note });
        if (done >= total) {
            this.pause();
        }
    }

    #line({ name, done, total, note }: Stage, isNew: boolean, endIsNews: boolean): void {
        const now = performance.now();
        if (isNew) {
            this.#lastLine = now;
        }
        if ((endIsNews && done >= total) || now - this.#lastLine >= lineMilliseconds) {
            this.#lastLine = now;
            this.#output.note(`${name.padEnd(10)} ${done}/${total}  ${note}`);
        }
    }
}
