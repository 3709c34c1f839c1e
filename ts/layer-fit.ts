/** How well projections on a direction tell refusal from compliance. NaN where that is not defined. */
export interface Separation {
    /** Area under the ROC curve of the projections: 0.5 no separation, 1 perfect. */
    auc: number;
    /** Distance of the projected means in pooled standard deviations. */
    cohensD: number;
    /** Pearson correlation of projection and score, over all prompts, neutral ones too. */
    correlation: number;
    /** Spearman's rank correlation of the same. */
    rankCorrelation: number;
}

/** How a direction came out at one layer. Its separation is that of the prompts it was fitted on, which flatters it. */
export interface LayerFit extends Separation {
    layer: number;
    /** Distance of the two means along the direction. */
    gap: number;
    /** λ as used, absolute; 0 for `"md"` and `"pca"`; infinite where a rule found the identity best. */
    lambda: number;
    /** λ / (λ + tr(Σ)/d): the share of the identity in what was inverted. 1 gives the mean difference. */
    shrinkage: number;
    /** Estimated condition number of what was solved with, such as Σ + λI; 0 for `"md"` and `"pca"`. */
    condition: number;
    /** Prompts above the threshold, below its negative, and between. */
    refusing: number;
    complying: number;
    neutral: number;
    /** Rows of the preserve set. */
    preserved: number;
    /** Share of the direction's squared length in its largest 1 %, 5 % and 10 % of elements. */
    topShares: [number, number, number];
    /** Over how many elements the direction is spread, (Σv²)²/Σv⁴: 1 for a single one, the hidden size for equal ones. */
    participation: number;
    /** Separation of prompts that a direction was not fitted on, mean over the folds; with `crossValidation` only. */
    heldOut?: Separation;
    /** Mean cosine between directions fitted on bootstrap samples: 1 the sample decides nothing; with `bootstrap` only. */
    stability?: number;
}
