/** Narrow, and no break of a line in it. */
const space = "\u202f";
const none = "–";

/** A share as per cent with one decimal: 0.134 is "13.4 %". */
export function percent(share: number | null | undefined): string {
    return typeof share === "number" ? `${fixed(100 * share, 1)}${space}%` : none;
}

/** A difference of shares, in percentage points, with its sign. */
export function points(difference: number | null | undefined): string {
    return typeof difference === "number" ? `${signed(100 * difference, 1)}${space}pts` : none;
}

export function decimal(value: number | null | undefined, digits = 3): string {
    return typeof value === "number" ? fixed(value, digits) : none;
}

export function signed(value: number, digits = 3): string {
    const text = fixed(value, digits);
    return value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

/** As short as the number is: at most three significant digits of a fraction. */
export function short(value: number): string {
    return minus(String(Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3))));
}

/** With its thousands apart. */
export function integer(value: number): string {
    return minus(String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, space));
}

/** "1 layer", "80 layers". */
export function counted(count: number, name: string): string {
    return `${integer(count)} ${name}${count === 1 ? "" : "s"}`;
}

/** Seconds as people say them: "0.42 s", "3 min 07 s", "1 h 12 min". */
export function duration(seconds: number): string {
    if (seconds < 59.95) {
        return `${fixed(seconds, seconds < 10 ? 2 : 1)}${space}s`;
    }
    const whole = Math.round(seconds);
    const two = (value: number): string => String(value).padStart(2, "0");
    return whole < 3600
        ? `${Math.floor(whole / 60)}${space}min ${two(whole % 60)}${space}s`
        : `${Math.floor(whole / 3600)}${space}h ${two(Math.floor((whole % 3600) / 60))}${space}min`;
}

function fixed(value: number, digits: number): string {
    const text = value.toFixed(digits);
    // -0.0 is 0.0.
    return minus(Number(text) === 0 ? text.replace("-", "") : text);
}

function minus(text: string): string {
    return text.replace("-", "\u2212");
}
