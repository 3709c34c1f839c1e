import { UsageError } from "./failure.js";

export const isUrl = (place: string): boolean => /^https?:\/\//i.test(place);

/**
 * Keys come from the environment: a command line is seen by every user of the machine.
 *
 * @param variable that holds it; undefined: the library's own
 * @param flag which names the variable
 * @throws UsageError
 */
export function keyFrom(variable: string | undefined, flag: string): string | undefined {
    if (variable === undefined) {
        return undefined;
    }
    const key = process.env[variable];
    if (key === undefined || key === "") {
        throw new UsageError(`${flag} names ${variable}, which is not set in the environment: export it first`);
    }
    return key;
}

/** Options of the command line take seconds. */
export const milliseconds = (seconds: number | undefined): number | undefined =>
    seconds === undefined ? undefined : 1000 * seconds;
