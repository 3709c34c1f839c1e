/** Prompts of one forward pass, by their index in the data set. */
export type Batch = readonly number[];

/**
 * Shares prompts out to as few forward passes as they fill: the longest first, each into the fullest pass that still has
 * room for it (best fit, decreasing).
 *
 * @param alike neighbours in length share a pass instead: recurrent models compute a pass in pieces of equal lengths
 * @param lengths tokens of each prompt, none longer than `batchSize`; undefined for prompts that are done already
 */
export function fillBatches(
    lengths: readonly (number | undefined)[],
    batchSize: number,
    maxSequences: number,
    alike = false,
): Batch[] {
    const order = [...lengths.keys()]
        .filter((prompt) => lengths[prompt] !== undefined)
        .sort((a, b) => (lengths[b] as number) - (lengths[a] as number) || a - b);
    return alike ? inTurn(order, lengths, batchSize, maxSequences) : bestFit(order, lengths, batchSize, maxSequences);
}

type Lengths = readonly (number | undefined)[];

function inTurn(order: readonly number[], lengths: Lengths, batchSize: number, maxSequences: number): number[][] {
    const batches: number[][] = [];
    let room = 0;
    for (const prompt of order) {
        const length = lengths[prompt] as number;
        const last = batches.at(-1);
        if (last === undefined || room < length || last.length === maxSequences) {
            batches.push([prompt]);
            room = batchSize - length;
        } else {
            last.push(prompt);
            room -= length;
        }
    }
    return batches;
}

function bestFit(order: readonly number[], lengths: Lengths, batchSize: number, maxSequences: number): number[][] {
    const batches: number[][] = [];
    // By tokens left, the batches that have that many: the fullest with room is the first list that is not empty.
    const open: number[][][] = Array.from({ length: batchSize + 1 }, () => []);
    for (const prompt of order) {
        const length = lengths[prompt] as number;
        let room = length;
        while (room < batchSize && (open[room] as number[][]).length === 0) {
            room++;
        }
        const found = (open[room] as number[][]).pop();
        const batch = found ?? [];
        if (found === undefined) {
            batches.push(batch);
        }
        batch.push(prompt);
        const left = (found === undefined ? batchSize : room) - length;
        if (batch.length < maxSequences && left > 0) {
            (open[left] as number[][]).push(batch);
        }
    }
    return batches;
}
