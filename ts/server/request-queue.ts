/** What a queue looks at. */
export interface Queued {
    readonly client: string;
    readonly priority: number;
}

/** `"fair"`: clients take turns. `"priority"`: the highest first, and clients take turns among equals. */
export type QueuePolicy = "fair" | "priority";

/** Turns that are remembered; of more clients, those served longest ago begin anew. */
const rememberedClients = 4096;

/** Requests that wait, and whose turn it is. */
export class RequestQueue<Item extends Queued> {
    readonly #policy: QueuePolicy;
    /** In the order in which they came. */
    readonly #items = new Set<Item>();
    /** When each client was served last, in turns; ascending. */
    readonly #served = new Map<string, number>();
    #turn = 0;

    constructor(policy: QueuePolicy) {
        this.#policy = policy;
    }

    get size(): number {
        return this.#items.size;
    }

    add(item: Item): void {
        this.#items.add(item);
    }

    has(item: Item): boolean {
        return this.#items.has(item);
    }

    /** The one whose turn it is, among those that `ready` takes; it stays in the queue. */
    next(ready: (item: Item) => boolean): Item | undefined {
        let best: Item | undefined;
        for (const item of this.#items) {
            if ((best === undefined || this.#precedes(item, best)) && ready(item)) {
                best = item;
            }
        }
        return best;
    }

    #precedes(item: Item, other: Item): boolean {
        if (this.#policy === "priority" && item.priority !== other.priority) {
            return item.priority > other.priority;
        }
        return this.#lastServed(item) < this.#lastServed(other);
    }

    #lastServed(item: Item): number {
        return this.#served.get(item.client) ?? 0;
    }

    /** It begins: its client has had a turn. */
    serve(item: Item): void {
        this.remove(item);
        this.#served.delete(item.client);
        this.#served.set(item.client, ++this.#turn);
        if (this.#served.size > rememberedClients) {
            const [oldest] = this.#served.keys();
            this.#served.delete(oldest as string);
        }
    }

    /** Takes one out that does not begin. Returns false if it was not there. */
    remove(item: Item): boolean {
        return this.#items.delete(item);
    }

    [Symbol.iterator](): IterableIterator<Item> {
        return this.#items.values();
    }
}
