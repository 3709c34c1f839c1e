import { native } from "../native.js";

/**
 * Threads that the linear algebra of this process uses, for ridge fits and directions, in all its workers. What the BLAS
 * chose at start, unless {@link setThreads} was called; Accelerate chooses by itself.
 */
export function threads(): number {
    return native.ridgeThreads();
}

/**
 * Sets them, from 1 to 1024, for what starts later; 0 restores the default.
 *
 * @throws SteerError INVALID_ARGUMENT
 */
export function setThreads(count: number): void {
    // Undefined would ask for the number.
    native.ridgeThreads(count ?? Number.NaN);
}
