import { checkFinite } from "./check.js";
import { type Condition, compileCondition } from "./condition.js";
import type { DirectionCache } from "./direction-cache.js";
import type { NativeIntervention, NativeModel, NativeNumbers } from "./native.js";
import { compileSchedule, type Schedule, type ScheduleFunction } from "./schedule.js";
import { SteerError } from "./steer-error.js";
import {
    type AffineOptions,
    boundsOf,
    checkSteerOptions,
    type Operation,
    type SteerNumbers,
    type SteerOptions,
    type StrengthUnit,
    vectorList,
} from "./steer-options.js";
import type { SteeringVector } from "./steering-vector.js";
import { compileSelection, type TokenSelection } from "./token-selection.js";
import type { Tokenizer } from "./tokenizer.js";

/** @internal What an intervention needs to know of its sequence. */
export interface SteeringHost {
    native: NativeModel;
    directions: DirectionCache;
    tokenizer: Tokenizer;
    /** The list has to be sent again, without `removed`. */
    changed: (removed?: Steering) => void;
    /** Numbers of an intervention in the list have changed. */
    setNumbers: (intervention: NativeIntervention, numbers: NativeNumbers) => void;
    /** Refuses what contradicts the other interventions. */
    check: (steering: Steering) => void;
}

/** One intervention on one sequence. Made by {@link Sequence.steer}. */
export class Steering {
    readonly #host: SteeringHost;
    readonly #options: SteerOptions;
    #numbers: SteerNumbers;
    #native: NativeIntervention;
    #live: ScheduleFunction | undefined;

    readonly operation: Operation;
    /** The vectors it was made with, at its layers. */
    readonly vectors: readonly SteeringVector[];
    readonly site: string;
    readonly tokens: TokenSelection;
    readonly when: Condition | undefined;
    readonly unit: StrengthUnit;

    /** @internal */
    constructor(host: SteeringHost, vectors: SteeringVector | readonly SteeringVector[], options: SteerOptions) {
        const list = vectorList(vectors, "vector");
        const { metadata } = list[0] as SteeringVector;
        this.operation = checkSteerOptions(options, metadata.operation);
        const { layers, site, tokens = "all", when } = options;
        this.vectors = layers === undefined ? list : list.map((vector) => vector.select(layers));
        this.site = site ?? metadata.site;
        this.tokens = tokens;
        this.when = when;
        this.unit = ("unit" in options ? options.unit : undefined) ?? "raw";
        this.#host = host;
        this.#options = options;
        const { strength = 1, value, target, low, high } = options as SteerOptions & SteerNumbers;
        this.#numbers = definedOnly({ strength, value, target, low, high });
        const { native, live } = this.#make(this.#numbers);
        this.#native = native;
        this.#live = live;
        host.check(this);
    }

    /** The first of its vectors. */
    get vector(): SteeringVector {
        return this.vectors[0] as SteeringVector;
    }

    /** Setting it takes effect from the next token on and rebuilds no graph. */
    get strength(): Schedule {
        return this.#numbers.strength ?? 1;
    }

    set strength(strength: Schedule) {
        this.update({ strength });
    }

    /** The bounds of the projections, of those operations that have any. */
    get bounds(): { low?: number; high?: number } {
        return boundsOf(this.operation, this.#numbers);
    }

    /**
     * Changes some of its numbers, from the next token on. Rebuilds no graph.
     *
     * @throws SteerError NOT_FINITE, INVALID_ARGUMENT, STEERING_CONFLICT, DISPOSED; nothing is changed then
     */
    update(numbers: SteerNumbers): void {
        checkSteerOptions(numbers as SteerOptions, this.operation);
        const before = this.#numbers;
        const next = { ...before, ...definedOnly(numbers) };
        const { strength, live } = this.#compile(next);
        const isLive = live !== undefined;
        const bounds = boundsOf(this.operation, next);
        this.#numbers = next;
        try {
            this.#host.check(this);
            if (isLive || this.#live !== undefined) {
                const made = this.#make(next);
                this.#native = made.native;
                this.#live = made.live;
                this.#host.changed();
            } else {
                this.#host.setNumbers(this.#native, { strength, ...bounds });
            }
        } catch (error) {
            this.#numbers = before;
            throw error;
        }
    }

    /** Ends the intervention. */
    remove(): void {
        this.#host.changed(this);
    }

    /** @internal */
    get native(): NativeIntervention {
        return this.#native;
    }

    /** @internal The function that says its strength, of those that have one. */
    get live(): ScheduleFunction | undefined {
        return this.#live;
    }

    #compile(numbers: SteerNumbers): { strength: NativeNumbers["strength"]; live?: ScheduleFunction } {
        const { strength = 1 } = numbers;
        if (typeof strength === "number") {
            // Servers set one for every sequence and token.
            checkFinite(strength, "strength");
            return { strength };
        }
        const compiled = compileSchedule(strength, "strength", this.#host.tokenizer);
        if ("live" in compiled) {
            return { strength: 0, live: compiled.live };
        }
        return { strength: compiled };
    }

    #make(numbers: SteerNumbers): { native: NativeIntervention; live: ScheduleFunction | undefined } {
        const { native, directions, tokenizer } = this.#host;
        const { operation, vectors } = this;
        const { strength, live } = this.#compile(numbers);
        const affine = operation === "affine" ? (this.#options as AffineOptions) : undefined;
        const atLayers = (list: readonly SteeringVector[]): SteeringVector[] =>
            this.#options.layers === undefined
                ? [...list]
                : list.map((each) => each.select(this.#options.layers ?? "all"));
        if (affine !== undefined && affine.up === undefined) {
            throw new SteerError("INVALID_ARGUMENT", 'operation "affine" needs up: as many vectors as it projects on');
        }
        const made = native.createIntervention({
            site: this.site,
            directions: directions.get({
                operation,
                vectors,
                normUnits: this.unit === "norm",
                ...(affine === undefined ? {} : { up: atLayers(vectorList(affine.up, "up")) }),
                ...(affine?.bias === undefined ? {} : { bias: atLayers(vectorList(affine.bias, "bias")) }),
            }),
            tokens: compileSelection(this.tokens, "tokens", tokenizer),
            ...(this.when === undefined
                ? {}
                : {
                      when: compileCondition(this.when, (vector) =>
                          directions.get({ operation: "observe", vectors: [vector] }),
                      ),
                  }),
            preserveNorm: this.#options.preserveNorm ?? false,
            live: live !== undefined,
            numbers: { strength, ...boundsOf(operation, numbers) },
        });
        return { native: made, live };
    }
}

/** The numbers that are given. */
function definedOnly(numbers: { [Key in keyof SteerNumbers]: SteerNumbers[Key] | undefined }): SteerNumbers {
    return Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== undefined));
}
