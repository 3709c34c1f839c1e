/** The bits of the half-precision number nearest to `value`, ties to even: IEEE 754, by the book. */
export function toHalf(value: number): number {
    const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
    const size = Math.abs(value);
    if (Number.isNaN(value)) {
        return 0x7e00;
    }
    // Halfway between the largest number, 65504, and what would come next, ties go to the even one: infinity.
    if (size >= 65520) {
        return sign | 0x7c00;
    }
    let exponent = -14;
    while (2 ** (exponent + 1) <= size) {
        exponent++;
    }
    // Below 2^-14 numbers are multiples of 2^-24; from there on they have 11 bits. A fraction that rounds up to the next
    // power of two carries into the exponent by itself.
    const steps = roundedToEven(size / 2 ** (exponent - 10));
    return sign | (((exponent + 14) << 10) + steps);
}

/** What half-precision bits stand for. */
export function fromHalf(bits: number): number {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 31) {
        return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    }
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function roundedToEven(value: number): number {
    const below = Math.floor(value);
    const rest = value - below;
    return below + (rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? 1 : 0);
}
