/** What a side is asked to serve: clients that each have one request under way until all were asked. */
export interface ServeLoad {
    /** Model file. */
    model: string;
    threads: number;
    /** Prompts as tokens, taken in turn. */
    prompts: readonly (readonly number[])[];
    maxTokens: number;
    clients: number;
    requests: number;
    /** Tokens that each sequence can hold. */
    contextSize: number;
    /** Clients beside, not counted and not measured, that ask prompts of their own for short answers until the others are done. */
    beside?: { clients: number; prompts: readonly (readonly number[])[]; maxTokens: number };
    /** Ours alone: who is steered, and options of the context. */
    steering?: "off" | "one" | "each";
    promptBudget?: number;
    operators?: "own" | "upstream";
}

/** What came of it, times in milliseconds. */
export interface ServeOutcome {
    seconds: number;
    tokens: number;
    /** Of the answers' texts. */
    characters: number;
    /** From asking to the first token, of each request. */
    firstToken: number[];
    /** Between a token and the one before it in its answer. */
    gaps: number[];
}

/** Hears of tokens as they come: how many together, and their text. */
type OnTokens = (count: number, text: string) => void;

/** Asks one side for an answer: the prompt's tokens, and who asks. */
export type Ask = (prompt: readonly number[], client: number, maxTokens: number, onTokens: OnTokens) => Promise<void>;

/** Runs a load on one side. */
export async function runLoad(load: ServeLoad, ask: Ask): Promise<ServeOutcome> {
    const outcome: ServeOutcome = { seconds: 0, tokens: 0, characters: 0, firstToken: [], gaps: [] };
    let asked = 0;
    const client = async (id: number): Promise<void> => {
        while (asked < load.requests) {
            const prompt = load.prompts[asked++ % load.prompts.length] as readonly number[];
            await measured(outcome, (onTokens) => ask(prompt, id, load.maxTokens, onTokens));
        }
    };
    let done = false;
    const { beside } = load;
    const besides = Array.from({ length: beside?.clients ?? 0 }, async (_, i) => {
        for (let turn = i; beside !== undefined && !done; turn++) {
            const prompt = beside.prompts[turn % beside.prompts.length] as readonly number[];
            await ask(prompt, load.clients + i, beside.maxTokens, () => {});
        }
    });
    const begin = performance.now();
    await Promise.all(Array.from({ length: load.clients }, (_, id) => client(id)));
    outcome.seconds = (performance.now() - begin) / 1000;
    done = true;
    await Promise.all(besides);
    return outcome;
}

async function measured(outcome: ServeOutcome, answer: (onTokens: OnTokens) => Promise<void>): Promise<void> {
    const begin = performance.now();
    let before: number | undefined;
    await answer((count, text) => {
        const now = performance.now();
        // Of tokens that come together, only the first was waited for.
        for (let i = 0; i < count; i++) {
            if (before === undefined) {
                outcome.firstToken.push(now - begin);
            } else {
                outcome.gaps.push(now - before);
            }
            before = now;
        }
        outcome.tokens += count;
        outcome.characters += text.length;
    });
}
