import type { NativeLiveRequest } from "./native.js";
import { SteerError } from "./steer-error.js";
import type { Steering } from "./steering.js";

/** The interventions of a context by their native ids: whose projections are reported, whose functions are asked. */
export class SteeringRegistry {
    readonly #entries = new Map<number, { steering: Steering; sequence: number }>();
    /** What a sequence's schedule function failed with, until whoever it failed picks it up. */
    readonly #causes = new Map<number, unknown>();

    /** Replaces what is known of a sequence. */
    set(sequence: number, list: readonly Steering[]): void {
        for (const [id, entry] of this.#entries) {
            if (entry.sequence === sequence) {
                this.#entries.delete(id);
            }
        }
        for (const steering of list) {
            this.#entries.set(steering.native.id(), { steering, sequence });
        }
    }

    find(id: number): Steering | undefined {
        return this.#entries.get(id)?.steering;
    }

    /** Calls the functions that a pass asks for. One that fails answers NaN, and its error is kept. */
    readonly answer = (requests: NativeLiveRequest[]): Float64Array =>
        Float64Array.from(requests, ({ intervention, step, position, generated, token }) => {
            const entry = this.#entries.get(intervention);
            if (entry?.steering.live === undefined) {
                // Removed since: its list is about to be replaced.
                return 0;
            }
            try {
                const strength = entry.steering.live({
                    step,
                    position,
                    phase: generated ? "generation" : "prompt",
                    ...(token < 0 ? {} : { token }),
                });
                if (typeof strength !== "number" || !Number.isFinite(Math.fround(strength))) {
                    throw new SteerError("NOT_FINITE", `the schedule function returned ${String(strength)}`);
                }
                return strength;
            } catch (error) {
                this.#causes.set(entry.sequence, error);
                return Number.NaN;
            }
        });

    /** A failure with the error of the function behind it as its cause. */
    explain(failure: unknown, sequences: readonly number[]): unknown {
        if (!(failure instanceof SteerError) || failure.code !== "SCHEDULE_FAILED") {
            return failure;
        }
        const sequence = sequences.find((each) => this.#causes.has(each));
        if (sequence === undefined) {
            return failure;
        }
        const cause = this.#causes.get(sequence);
        this.#causes.delete(sequence);
        return new SteerError(failure.code, failure.message, { cause });
    }
}
