import { Presets, SingleBar } from "cli-progress";
import type { AgreementEvent, PhaseEvent, ProgressEvent, RefusalEvent } from "../refusal/index.js";
import type { Output } from "./output.js";

/** Between two lines about one phase, where there is no terminal to draw a bar on. */
const lineMilliseconds = 10_000;

/** How far a stage is. */
interface Stage {
    name: string;
    done: number;
    total: number;
    /** What else there is to say of it. */
    note: string;
    /** Its end is worth a line. */
    endIsNews: boolean;
    isSearch: boolean;
}

/**
 * Shows on standard error how far a command is: as a bar for each phase on a terminal, elsewhere as a line at the end of each
 * stage and every ten seconds, and not at all where it is to be quiet.
 */
export class Progress {
    readonly #output: Output;
    readonly #bars = process.stderr.isTTY === true;
    #phase: PhaseEvent | undefined;
    #bar: SingleBar | undefined;
    /** Which bar is drawn: of a phase, or of a stage where there are no phases. */
    #drawn = "";
    #lastLine = performance.now();
    #retries = 0;
    /** A stage whose end nobody has been told of. */
    #untold: Stage | undefined;

    constructor(output: Output) {
        this.#output = output;
    }

    /** For `onEvent` of Refusal Steering. */
    readonly onEvent = (event: RefusalEvent): void => {
        if (event.type === "phase") {
            this.#tellEnd();
            this.#phase = event;
        } else if (event.type === "progress" && event.total > 0) {
            this.#show(this.#stageOf(event));
        } else if (event.type === "retry") {
            this.#retries++;
            this.pause();
            this.#output.note(`retry ${event.attempt}: ${event.message}`);
        } else if (event.type === "agreement") {
            this.pause();
            this.#output.note(agreementLine(event));
        }
    };

    /** For `onProgress` of what tells a fraction in 0 .. 1. */
    fraction(name: string): (fraction: number) => void {
        return (fraction) => {
            const done = Math.round(100 * fraction);
            this.#show({ name, done, total: 100, note: "%", endIsNews: false, isSearch: false });
        };
    }

    /** Leaves what is shown as it stands, so that something else can be written. */
    pause(): void {
        this.#bar?.stop();
        this.#bar = undefined;
    }

    /** A search ends when it finds nothing better, wherever it is. */
    #tellEnd(): void {
        if (this.#untold !== undefined && !this.#bars) {
            this.#output.note(lineOf(this.#untold));
        }
        this.#untold = undefined;
    }

    #stageOf(event: ProgressEvent): Stage {
        const { stage, done, total, found, occupancy, seconds } = event;
        const phase = this.#phase;
        const parts = [
            `${seconds.toFixed(1)} s`,
            ...(found > 0 ? [`${found} found`] : []),
            ...(occupancy === undefined ? [] : [`batches ${Math.round(100 * occupancy)} % full`]),
            ...(this.#retries > 0 ? [`${this.#retries} retries`] : []),
        ];
        return {
            name: phase === undefined ? stage : `${phase.number}/${phase.of} ${phase.phase}: ${stage}`,
            done,
            total,
            note: parts.join(", "),
            // A search answers and judges many times over.
            endIsNews: phase?.phase !== "searching",
            isSearch: stage === "search",
        };
    }

    #show(stage: Stage): void {
        if (this.#output.quiet) {
            return;
        }
        if (this.#bars) {
            this.#draw(stage);
        } else {
            this.#line(stage);
        }
    }

    #draw({ name, done, total, note }: Stage): void {
        const drawn = this.#phase?.phase ?? name;
        if (drawn !== this.#drawn) {
            this.pause();
        }
        this.#drawn = drawn;
        const payload = { name: name.padEnd(24), note };
        if (this.#bar === undefined) {
            const format = "{name} {bar} {value}/{total}  {note}";
            this.#bar = new SingleBar({ format, stream: process.stderr }, Presets.shades_classic);
            this.#bar.start(total, done, payload);
        }
        this.#bar.setTotal(total);
        this.#bar.update(done, payload);
    }

    #line(stage: Stage): void {
        const { done, total, isSearch, endIsNews } = stage;
        if (isSearch) {
            this.#untold = stage;
        }
        const now = performance.now();
        if ((endIsNews && done >= total) || now - this.#lastLine >= lineMilliseconds) {
            this.#lastLine = now;
            this.#output.note(lineOf(stage));
        }
    }
}

function agreementLine({ of, answers, tokens, difference }: AgreementEvent): string {
    return difference === null
        ? `answers from elsewhere cannot be compared with the model: ${answers} of ${of} have the same tokens here`
        : `answers from elsewhere: log-probabilities differ by ${difference.toFixed(3)} per token from the model's ` +
              `(${tokens} tokens of ${answers} answers)`;
}

const lineOf = ({ name, done, total, note }: Stage): string => `${name.padEnd(24)} ${done}/${total}  ${note}`;
