import { setMaxListeners } from "node:events";

/**
 * Ctrl-C while a command works: the first aborts the signal, so that the work ends where it can go on later; the second
 * ends the process as if nobody had listened.
 */
export class Interrupt {
    readonly #controller = new AbortController();
    readonly #onFirst: () => void;
    readonly #handler = (): void => {
        if (this.#controller.signal.aborted) {
            this.end();
            process.kill(process.pid, "SIGINT");
            return;
        }
        this.#onFirst();
        this.#controller.abort();
    };

    constructor(onFirst: () => void) {
        this.#onFirst = onFirst;
        // As many answers as there are sequences listen to it.
        setMaxListeners(0, this.#controller.signal);
        process.on("SIGINT", this.#handler);
    }

    get signal(): AbortSignal {
        return this.#controller.signal;
    }

    /** Stops listening. */
    end(): void {
        process.off("SIGINT", this.#handler);
    }
}
