import { checkFinite } from "./check.js";
import type { LayerSelection } from "./layers.js";
import type { NativeDirections, NativeSelection } from "./native.js";
import type { SteeringVector } from "./steering-vector.js";
import type { TokenSelection } from "./token-selection.js";

export interface SteerOptions {
    /** Factor of the vector; negative steers the other way. Default 1. */
    strength?: number;
    /** Layers of the vector to use. Default: all it has. */
    layers?: LayerSelection;
    /** On which tokens it acts. Default `"all"`. */
    tokens?: TokenSelection;
}

/** One intervention on one sequence. Made by {@link Sequence.steer}. */
export class Steering {
    readonly #directions: NativeDirections;
    readonly #selection: NativeSelection;
    readonly #changed: (removed?: Steering) => void;
    #strength: number;

    readonly vector: SteeringVector;
    readonly tokens: TokenSelection;

    /** @internal */
    constructor(
        vector: SteeringVector,
        directions: NativeDirections,
        strength: number,
        tokens: TokenSelection,
        selection: NativeSelection,
        changed: (removed?: Steering) => void,
    ) {
        this.vector = vector;
        this.#directions = directions;
        this.#strength = strength;
        this.tokens = tokens;
        this.#selection = selection;
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
        return { directions: this.#directions, strength: this.#strength, tokens: this.#selection };
    }
}
