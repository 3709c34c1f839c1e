// What random matrix theory says of WRMD with "oas" on planted data: cpp/test/ridge_planted_theory.h has the formulas
// and their sources, and a native test holds samples against them.

/** Of |c| uniform in [0.2, 1]: its mean, mean square and mean cube. */
const [mean, square, cube] = [0.6, 0.36 + 0.64 / 12, (1 - 0.2 ** 4) / 4 / 0.8];

/**
 * The cosine with the planted direction to be expected from the covariance of a sample of `count` rows, half of them
 * complying; `noise` are the variances beside the planted direction.
 */
export function cosineWithOas(count, beta, noise) {
    const weighted = square / mean;
    const shift = 2 * beta * weighted;
    const ofMeans = (4 / count) * (square / mean ** 2);
    const rows = (count / 2) * (mean ** 2 / square);
    const variances = [1 + beta ** 2 * (cube / mean - weighted ** 2), ...noise];
    const sum = (of) => variances.reduce((total, s) => total + of(s), 0);

    const left = (rows - 1) / rows;
    const trace = sum((s) => s);
    const mu = (trace * left) / variances.length;
    const squares = (sum((s) => s * s) * left ** 2 + (trace ** 2 * left) / rows) / variances.length ** 2;
    const shrinkage = Math.min(1, (squares + mu ** 2) / ((rows + 1) * (squares - mu ** 2 / variances.length)));
    const lambda = ((shrinkage / (1 - shrinkage)) * mu) / left;

    let [low, high] = [1e-12, lambda + trace / rows + 1];
    for (let i = 0; i < 200; i++) {
        const middle = Math.sqrt(low * high);
        if (middle * (1 - sum((s) => s / (s + middle)) / (rows - 1)) < lambda) {
            low = middle;
        } else {
            high = middle;
        }
    }
    const kappa = high;
    const parts = variances.map((s, i) => ofMeans * s + (i === 0 ? shift ** 2 : 0));
    const total = (weight) =>
        parts.reduce((all, part, i) => all + (part * weight(variances[i])) / (variances[i] + kappa) ** 2, 0);
    const spread = sum((s) => s / (s + kappa) ** 2) / (rows - 1 - sum((s) => s ** 2 / (s + kappa) ** 2));
    return shift / (variances[0] + kappa) / Math.sqrt(total(() => 1) + total((s) => s) * spread);
}
