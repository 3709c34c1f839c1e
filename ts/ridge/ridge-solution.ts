/** A fit of k targets on d features. */
export interface RidgeSolution {
    /** [k][d] */
    coefficients: Float64Array;
    /** [k]; 0 without intercept. */
    intercept: Float64Array;
    /** [rows][k] y - x·b - a of every row, those of weight 0 too; where they were asked for. */
    residuals?: Float64Array;
    /** The penalty as used: absolute, as scikit-learn's Ridge has it. */
    alpha: number;
    /** The same relative to tr(G)/d. */
    lambda: number;
    /** What `"oas"` or `"ledoit-wolf"` found, in [0, 1]. */
    shrinkage?: number;
    /** Trace of the matrix that makes predictions of targets, the intercept counted; with `diagnostics`. */
    degreesOfFreedom?: number;
    /**
     * [k] weighted mean of the squared errors of predicting each row by a fit of all others, exactly, for the same
     * alpha; with `diagnostics`, from rows. NaN where some row is predicted by no other.
     */
    looError?: Float64Array;
    /**
     * Estimated condition number, in the 1-norm, of the system that was solved. From `"lanczos"` an upper bound of that in the
     * 2-norm, (tr(G) + alpha) / alpha.
     */
    condition: number;
    /**
     * What it came from: a factor of the matrix, its reduction for many lambdas, or Lanczos' method, which has no diagnostics.
     */
    solver: "cholesky" | "tridiagonal" | "lanczos";
    /** Which system that was: d x d (primal) or rows x rows (dual). */
    form: "primal" | "dual";
    /** Of the factorization that served. */
    precision: "f64" | "f32";
    /** Corrections applied after the first solve. */
    refinements: number;
}
