import { checkFinite } from "./check.js";
import type { LayerSelection } from "./layers.js";
import type { NativeDirections } from "./native.js";
import type { SteeringVector } from "./steering-vector.js";

/** On which tokens an intervention acts; the order is the native one. */
export const tokenScopes = ["all", "prompt", "last-prompt", "generated", "last-prompt-and-generated"] as const;

/**
 * On which tokens an intervention acts: `"all"`; those of the `"prompt"`; the `"last-prompt"` token only, where the
 * answer is decided; those `"generated"`; or `"last-prompt-and-generated"`.
 */
export type TokenScope = (typeof tokenScopes)[number];

export interface SteerOptions {
    /** Factor of the vector; negative steers the other way. Default 1. */
    strength?: number;
    /** Layers of the vector to use. Default: all it has. */
    layers?: LayerSelection;
    /** Default `"all"`. */
    tokens?: TokenScope;
}

/** One intervention on one sequence. Made by {@link Sequence.steer}. */
export class Steering {
    readonly #directions: NativeDirections;
    readonly #changed: (removed?: Steering) => void;
    #strength: number;

    readonly vector: SteeringVector;
    readonly tokens: TokenScope;

    /** @internal */
    constructor(
        vector: SteeringVector,
        directions: NativeDirections,
        strength: number,
        tokens: TokenScope,
        changed: (removed?: Steering) => void,
    ) {
        this.vector = vector;
        this.#directions = directions;
        this.#strength = strength;
        this.tokens = tokens;
        this.#changed = changed;
    }

    /** Setting it takes effect from the next token on and rebuilds no graph. */
    get strength(): number {
        return this.#strength;
    }

    set strength(value: number) {
        checkFinite(value, "strength");
        this.#strength = value;
        this.#changed();
    }

    /** Ends the intervention. */
    remove(): void {
        this.#changed(this);
    }

    /** @internal */
    toNative(): object {
        return { directions: this.#directions, strength: this.#strength, scope: tokenScopes.indexOf(this.tokens) };
    }
}
