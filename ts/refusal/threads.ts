import type { Model } from "../index.js";

/** Parameters below which a model gains nothing from a second thread: its threads would wait for each other. */
const small = 50e6;

/** Threads to compute with where nobody says; undefined: all cores. */
export function threadsFor(model: Model): number | undefined {
    return model.info.parameters < small ? 1 : undefined;
}
