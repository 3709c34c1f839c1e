const steps = ["B", "kB", "MB", "GB", "TB"];

/** A number of bytes for people: three digits, in thousands. */
export function bytes(count: number): string {
    const step = Math.min(steps.length - 1, count < 1 ? 0 : Math.floor(Math.log10(count) / 3));
    return step === 0 ? `${count} B` : `${digits(count / 1000 ** step)} ${steps[step]}`;
}

/** A count for people, such as of parameters. */
export function count(value: number): string {
    const units = ["", " k", " M", " G", " T"];
    const step = Math.min(units.length - 1, value < 1 ? 0 : Math.floor(Math.log10(value) / 3));
    return step === 0 ? String(value) : `${digits(value / 1000 ** step)}${units[step]}`;
}

const digits = (value: number): string => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);

/** A share in 0 .. 1; a dash where there is none. */
export function percent(share: number | null | undefined): string {
    return share === null || share === undefined || Number.isNaN(share) ? "-" : `${(100 * share).toFixed(1)} %`;
}

/** Ascending whole numbers with neighbours drawn together: 0-7, 9. */
export function ranges(numbers: readonly number[]): string {
    const runs: [number, number][] = [];
    for (const number of numbers) {
        const last = runs.at(-1);
        if (last !== undefined && number === last[1] + 1) {
            last[1] = number;
        } else {
            runs.push([number, number]);
        }
    }
    return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
}
