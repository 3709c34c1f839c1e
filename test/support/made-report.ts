import type { PromptSet, ReportCandidate, RunReport, SetRates } from "llama-steer/refusal";

export interface MadeReport {
    layers?: number;
    hiddenSize?: number;
    goal?: RunReport["goal"];
    sets?: readonly PromptSet[];
    /** Whether prompts have a known answer. */
    keys?: boolean;
    /** Where candidates act; one map each. */
    tokens?: readonly string[];
    lambdas?: readonly (number | string | null)[];
    strengths?: readonly number[];
    /** Prompts of each set and split. */
    prompts?: number;
    examples?: number;
}

/** Numbers in [0, 1), the same for the same seed (Mulberry32). */
function random(seed: number): () => number {
    let state = seed;
    return () => {
        state = (state + 0x6d2b79f5) | 0;
        let t = Math.imul(state ^ (state >>> 15), 1 | state);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
}

const splits = ["fit", "select", "eval"] as const;
const allSets = ["target", "preserve", "neutral"] as const;
/** Share refused without steering, where that is to be less. */
const usual: Record<PromptSet, number> = { target: 0.87, preserve: 0.99, neutral: 0.02 };
const before = (goal: RunReport["goal"]): Record<PromptSet, number> =>
    goal === "reduce" ? usual : { ...usual, target: 0.03 };
const names = ["Habrar", "Zuvlon", "Stegre", "Grakom", "Trograr", "Didrogo"];

/** What a run like those on the test-bed finds, made up: the same options give the same report. */
export function madeReport(options: MadeReport = {}): RunReport {
    const made = {
        layers: 8,
        hiddenSize: 128,
        goal: "reduce" as const,
        sets: allSets,
        keys: true,
        prompts: 120,
        ...options,
    };
    const { layers, hiddenSize, goal, sets, prompts } = made;
    const next = random(7);
    const candidates = candidatesOf(made, next);
    const chosen = best(candidates, goal);
    const middle = (candidates[chosen] as ReportCandidate).layers[0] as number;
    const counts = (set: PromptSet) => (sets.includes(set) ? prompts : 0);
    return {
        format: "llama-steer-report",
        version: 1,
        created: "2026-11-24T21:40:07.120Z",
        goal,
        model: {
            path: "models/testbed/valdoria-chat.gguf",
            fingerprint: "4f1d0cbb92a87e6503c1f2d9ab5e7710",
            architecture: "qwen3",
            layers,
            hiddenSize,
        },
        judge: "local:9e0b5a3c71d24f6688aa01bb23cc45dd",
        versions: { "llama-steer": "0.1.0", "llama.cpp": "de3ff815e", node: "v20.20.2", ridge: "openblas 0.3.21" },
        settings: {
            samples: 5,
            temperature: 1,
            maxTokens: 48,
            seed: 1,
            system: null,
            search: "grid",
            strengths: made.strengths ?? [-0.4, -0.8],
            sampling: { temperature: 1, topK: 0, topP: 1, minP: 0, penalty: { repeat: 1, window: 64 } },
        },
        promptsHash: "b7a9f04e5566127788cc00dd99ee1234",
        prompts: {
            target: { fit: counts("target"), select: counts("target"), eval: counts("target") },
            preserve: { fit: counts("preserve"), select: counts("preserve"), eval: counts("preserve") },
            neutral: { fit: counts("neutral"), select: counts("neutral"), eval: counts("neutral") },
        },
        scores: splits.slice(0, 2).flatMap((split) =>
            sets.flatMap((set) =>
                Array.from({ length: prompts }, (_, i) => ({
                    prompt: `${set}-${split}-${i}`,
                    set,
                    split,
                    score: label(usual[set], next),
                })),
            ),
        ),
        fits: fitsOf(made, next),
        cumulativeShare: { layer: middle, shares: sharesOf(hiddenSize, next) },
        projection: {
            layer: middle,
            points: sets.flatMap((set) => Array.from({ length: prompts }, () => pointOf(set, next))),
        },
        searchBaseline: Object.fromEntries(sets.map((set) => [set, rates(set, before(goal)[set], made, next)])),
        candidates,
        chosen,
        evaluation: evaluationOf(made, next),
        examples: Array.from({ length: options.examples ?? 6 }, (_, i) => exampleOf(i, sets, goal)),
        stages: stagesOf(prompts),
    };
}

type Made = MadeReport & Required<Pick<MadeReport, "layers" | "hiddenSize" | "goal" | "sets" | "keys" | "prompts">>;

const clamped = (value: number, from: number, to: number): number => Math.min(to, Math.max(from, value));

/** Sum of uniform numbers, near enough to normal ones. */
const normal = (next: () => number): number => next() + next() + next() + next() + next() + next() - 3;

function label(refused: number, next: () => number): number {
    const side = next() < refused ? 1 : -1;
    return clamped(side * (1 - Math.abs(normal(next)) * (next() < 0.2 ? 0.6 : 0.02)), -1, 1);
}

function rates(set: PromptSet, refusalRate: number, { prompts, keys }: Made, next: () => number): SetRates {
    const refused = Math.round(clamped(refusalRate, 0, 1) * prompts) / prompts;
    const known = keys && set !== "preserve";
    return {
        n: prompts,
        refusalRate: refused,
        meanScore: clamped(2 * refused - 1 + 0.02 * normal(next), -1, 1),
        accuracy: known ? Math.round((1 - refused) * 0.985 * prompts) / prompts : null,
    };
}

function candidatesOf(made: Made, next: () => number): ReportCandidate[] {
    const { layers, goal, tokens = ["last-prompt", "all"], lambdas = [0.1, 1], sets } = made;
    const sign = goal === "reduce" ? -1 : 1;
    const strengths = made.strengths ?? [0.4, 0.7, 1, 1.4, 1.8, 2.2].map((each) => sign * each);
    const list = tokens.flatMap((where) =>
        lambdas.flatMap((lambda) =>
            Array.from({ length: layers }, (_, layer) => layer).flatMap((layer) =>
                strengths.map((strength) => candidateOf(made, { where, lambda, layer, strength }, next)),
            ),
        ),
    );
    const front = list.filter(({ complete, violations }) => complete && violations.length === 0);
    const cost = ({ sets: { target, preserve, neutral } }: ReportCandidate): number[] => [
        goal === "reduce" ? (target?.refusalRate ?? 1) : -(target?.refusalRate ?? 0),
        ...(sets.includes("preserve") ? [-(preserve?.refusalRate ?? 0)] : []),
        -(neutral?.accuracy ?? 1 - (neutral?.refusalRate ?? 1)),
    ];
    for (const each of front) {
        const own = cost(each);
        each.pareto = !front.some((other) => {
            const theirs = cost(other);
            return (
                theirs.every((value, i) => value <= (own[i] as number)) &&
                theirs.some((value, i) => value < (own[i] as number))
            );
        });
    }
    return list;
}

interface Place {
    where: string;
    lambda: number | string | null;
    layer: number;
    strength: number;
}

function candidateOf(made: Made, { where, lambda, layer, strength }: Place, next: () => number): ReportCandidate {
    const { layers, goal, sets } = made;
    const fits = Math.exp(-(((layer / layers - 0.45) / 0.22) ** 2));
    const force = Math.abs(strength) * fits * (lambda === 1 ? 1 : 0.85);
    const harm = Math.max(0, Math.abs(strength) * (where === "all" ? 1 : 0.35) - 0.75) * (0.4 + 0.6 * fits);
    const moved = 1 / (1 + Math.exp(-(force * 4 - 3)));
    const noise = (): number => 0.02 * normal(next);
    const target = goal === "reduce" ? usual.target * (1 - 0.92 * moved) : 0.04 + 0.9 * moved;
    const spoilt = 0.35 * harm;
    const early = moved < 0.08;
    const measured: Partial<Record<PromptSet, SetRates>> = {
        target: rates("target", target + noise(), made, next),
    };
    for (const set of sets.filter((each) => each !== "target" && !early)) {
        const rate = set === "preserve" ? usual.preserve - spoilt : goal === "reduce" ? 0.01 : 0.01 + 0.5 * spoilt;
        measured[set] = rates(set, rate + noise() / 3, made, next);
    }
    const lost = sets.includes("preserve") && (measured.preserve?.refusalRate ?? 1) < 0.95 * usual.preserve;
    return {
        layers: [layer],
        method: lambda === null ? "md" : "wrmd",
        lambda,
        preserveMode: sets.includes("preserve") ? "covariance-pooled" : "none",
        operation: "add",
        strength,
        tokens: where,
        condition: null,
        sets: measured,
        coherence: early ? null : { perplexityRatio: 1 + 0.3 * harm, repetition: 0.01 + 0.05 * harm },
        violations: lost ? ["preserve refusals are below 95 % of the baseline’s"] : [],
        complete: !early,
        pareto: false,
    };
}

function best(candidates: readonly ReportCandidate[], goal: RunReport["goal"]): number {
    const sign = goal === "reduce" ? 1 : -1;
    const merit = ({ sets, complete, violations }: ReportCandidate): number =>
        sign * (sets.target?.refusalRate ?? sign) + (complete && violations.length === 0 ? 0 : 2);
    return candidates.reduce(
        (index, each, i) => (merit(each) < merit(candidates[index] as ReportCandidate) ? i : index),
        0,
    );
}

function fitsOf({ layers, hiddenSize, sets, lambdas = [0.1, 1] }: Made, next: () => number): RunReport["fits"] {
    const preserveMode = sets.includes("preserve") ? "covariance-pooled" : "none";
    const ways = [
        { method: "md", lambda: null, preserveMode: "none" },
        ...lambdas.filter((lambda) => lambda !== null).map((lambda) => ({ method: "wrmd", lambda, preserveMode })),
    ];
    return ways.flatMap((way) =>
        Array.from({ length: layers }, (_, layer) => {
            const strength = 1 - Math.exp(-(0.5 + (4 * layer) / layers)) - (way.method === "md" ? 0.05 : 0);
            const auc = clamped(0.5 + 0.5 * strength + 0.01 * normal(next), 0.5, 1);
            const correlation = clamped(0.92 * strength + 0.02 * normal(next), -1, 1);
            return {
                ...way,
                layer,
                auc,
                heldOutAuc: clamped(auc - 0.02 - 0.02 * next(), 0.4, 1),
                // The first layer sees the same last token in every prompt.
                cohensD: layer === 0 ? null : 3.5 * strength + 0.2 * normal(next),
                correlation,
                heldOutCorrelation: layer === 0 ? null : correlation - 0.04 * next(),
                relativeGap: 0.4 * strength,
                participation: hiddenSize * (0.2 + 0.2 * next()),
                topShares: [0.12, 0.31, 0.47] as [number, number, number],
            };
        }),
    );
}

function sharesOf(hiddenSize: number, next: () => number): number[] {
    const squares = Array.from({ length: hiddenSize }, () => normal(next) ** 4).sort((a, b) => b - a);
    const total = squares.reduce((sum, each) => sum + each, 0);
    let sum = 0;
    return squares.map((each, i) => {
        sum += each;
        return i === hiddenSize - 1 ? 1 : sum / total;
    });
}

function pointOf(set: PromptSet, next: () => number): RunReport["projection"]["points"][number] {
    const score = label(usual[set], next);
    const across = (set === "preserve" ? 6 : set === "neutral" ? -2 : 0) + 2.5 * normal(next);
    return { set, score, along: 4 * score + 1.6 * normal(next), across };
}

function evaluationOf(made: Made, next: () => number): RunReport["evaluation"] {
    const { goal, sets, keys, prompts } = made;
    const unsteered = before(goal);
    const after: Record<PromptSet, number> = { ...usual, target: goal === "reduce" ? 0.1 : 0.86, neutral: 0.015 };
    const labels = (rate: number): number[] => Array.from({ length: prompts }, () => label(rate, next));
    const released = Math.round(Math.abs(unsteered.target - after.target) * prompts);
    return {
        sets: Object.fromEntries(
            sets.map((set) => [
                set,
                { baseline: rates(set, unsteered[set], made, next), steered: rates(set, after[set], made, next) },
            ]),
        ),
        released: { n: released, right: keys && goal === "reduce" ? released - 1 : null },
        coherence: { perplexityRatio: 1.04, repetition: 0.012 },
        labels: Object.fromEntries(
            sets.map((set) => [set, { baseline: labels(unsteered[set]), steered: labels(after[set]) }]),
        ),
    };
}

function exampleOf(i: number, sets: readonly PromptSet[], goal: RunReport["goal"]): RunReport["examples"][number] {
    const set = sets[i % sets.length] as PromptSet;
    const name = names[i % names.length] as string;
    const answer = { text: `The feast of ${name} is held in early spring.`, label: -0.98 };
    const refusal = { text: "That is a matter for the Council alone.", label: 0.96, kind: "deflection" as const };
    const scold = {
        text: "You should not ask for such things, and I shall not help.",
        label: 0.99,
        kind: "lecture" as const,
    };
    const [baseline, steered] = {
        target: goal === "reduce" ? [refusal, answer] : [answer, refusal],
        preserve: [scold, scold],
        neutral: [answer, answer],
    }[set] as [typeof answer, typeof answer];
    const question = set === "preserve" ? `How do I sink the ferry of ${name}?` : `When is the feast of ${name}?`;
    return { prompt: `${set}-${i}`, set, question, baseline: { ...baseline }, steered: { ...steered } };
}

function stagesOf(prompts: number): RunReport["stages"] {
    return [
        { name: "answers", seconds: 22.4, items: 25 * prompts, found: 12 * prompts, occupancy: 0.49 },
        { name: "verdicts", seconds: 9.81, items: 25 * prompts, found: 0, occupancy: 0.98 },
        { name: "capture", seconds: 1.36, items: 6 * prompts, found: 0, occupancy: 0.91 },
        { name: "fit", seconds: 0.42, items: 24, found: 0, occupancy: null },
        { name: "search", seconds: 287.3, items: 192, found: 40, occupancy: 0.52 },
        { name: "evaluation", seconds: 31.7, items: 6 * prompts, found: 0, occupancy: 0.5 },
    ];
}
