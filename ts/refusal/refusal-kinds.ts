/**
 * The kinds of refusal that the Refusal Steering paper distinguishes (arXiv 2512.16602), with what this package's judge
 * prompt calls them.
 */
export const refusalKinds = [
    "direct",
    "deflection",
    "narrative",
    "sanitization",
    "ignorance",
    "vagueness",
    "redirection",
    "hedging",
    "lecture",
    "propaganda",
    "invalidation",
    "nonsense",
] as const;
export type RefusalKind = (typeof refusalKinds)[number];
