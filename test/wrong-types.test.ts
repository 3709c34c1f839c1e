import test from "ava";
import {
    findCondition,
    fitDirection,
    loadModel,
    MomentsAccumulator,
    meanNorms,
    SteerError,
    SteeringVector,
    scheduleAt,
} from "llama-steer";
import {
    type Anything,
    type Case,
    isArray,
    isBoolean,
    isCount,
    isFloats,
    isFunction,
    isIndex,
    isNumber,
    isOptions,
    isPrompt,
    isSignal,
    isString,
    isTokens,
    never,
} from "./support/accepts.js";
import { failureOf } from "./support/expect-code.js";
import { chatModelPath } from "./support/paths.js";
import { layerCases, selectionCases } from "./support/selection-cases.js";
import { chatContext, chatModel, question } from "./support/testbed.js";
import { vectorCases } from "./support/vector-cases.js";
import { hostileObject, wrongValues } from "./support/wrong-values.js";

/** Any function may be a schedule: what it returns is looked at when it is asked. */
const isSchedule = (value: unknown): boolean => isNumber(value) || isFunction(value);

const isNumbers = (value: unknown): boolean => Array.isArray(value) && value.every(isNumber);

async function cases(): Promise<Case[]> {
    const model = await chatModel();
    const context = await chatContext({ sequences: 2 });
    const sequence = context.sequence();
    const { tokenizer } = model;
    const tokens = Int32Array.of(1, 2);
    const messages = question("Where?");
    const vector = new SteeringVector([1, 2], new Float32Array(256).fill(0.1));
    const steering = sequence.steer(vector);
    const capture = context.capture();
    await sequence.evaluate(tokens);

    const generate = (options: object): unknown => sequence.generate(tokens, { maxTokens: 1, ...options }).result();
    const evaluate = (entry: object): unknown => context.evaluate([{ sequence, tokens, ...entry } as Anything]);
    const attach = (options: object): unknown => context.capture({ capacity: 1, layers: 1, ...options });
    const fitWith = (options: object): unknown =>
        fitDirection({
            activations: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 9),
            layers: [1],
            scores: Float32Array.of(1, 1, -1, -1),
            ...options,
        });
    const moments = new MomentsAccumulator({ layers: [1], width: 128 });
    const makeMoments = (options: object): unknown => new MomentsAccumulator({ layers: [1], width: 4, ...options });
    const find = (options: object): unknown =>
        findCondition({ vector, positive: capture, negative: capture, ...options });
    const render = (options: object): unknown => model.applyChatTemplate(messages, options);

    return [
        ["loadModel path", isString, (wrong) => loadModel(wrong)],
        ["loadModel options", isOptions, (wrong) => loadModel(chatModelPath, wrong)],
        ["gpuLayers", isIndex, (gpuLayers) => loadModel(chatModelPath, { gpuLayers })],
        ["loadModel onProgress", isFunction, (onProgress) => loadModel(chatModelPath, { onProgress })],
        ["loadModel signal", isSignal, (signal) => loadModel(chatModelPath, { signal })],

        ["metadata key", isString, (wrong) => model.metadata(wrong)],
        ["chat messages", never, (wrong) => model.applyChatTemplate(wrong)],
        ["a message", never, (wrong) => model.applyChatTemplate([wrong])],
        ["role", isString, (role) => model.applyChatTemplate([{ role, content: "" }])],
        ["content", isString, (content) => model.applyChatTemplate([{ role: "user", content }])],
        ["chat options", isOptions, (wrong) => render(wrong)],
        ["addGenerationPrompt", isBoolean, (addGenerationPrompt) => render({ addGenerationPrompt })],
        ["variables", isOptions, (variables) => render({ variables })],
        ["encodePrompt prompt", isPrompt, (wrong) => model.encodePrompt(wrong)],
        ["encodePrompt begins", isBoolean, (wrong) => model.encodePrompt("text", wrong)],

        ["createContext options", isOptions, (wrong) => model.createContext(wrong)],
        ["sequences", isCount, (sequences) => model.createContext({ sequences })],
        ["contextSize", isCount, (contextSize) => model.createContext({ contextSize })],
        ["batchSize", isCount, (batchSize) => model.createContext({ batchSize })],
        ["threads", isCount, (threads) => model.createContext({ threads })],
        ["unifiedMemory", isBoolean, (unifiedMemory) => model.createContext({ unifiedMemory })],
        ["memoryType", never, (memoryType) => model.createContext({ memoryType })],
        ["operators", never, (operators) => model.createContext({ operators })],
        ["memoryTokens", isCount, (memoryTokens) => model.createContext({ memoryTokens })],
        ["promptBudget", isCount, (promptBudget) => model.createContext({ promptBudget })],
        ["createContext signal", isSignal, (signal) => model.createContext({ signal })],
        ["flashAttention", isBoolean, (flashAttention) => model.createContext({ flashAttention })],

        ["encode text", isString, (wrong) => tokenizer.encode(wrong)],
        ["encode options", isOptions, (wrong) => tokenizer.encode("text", wrong)],
        ["addSpecial", isBoolean, (addSpecial) => tokenizer.encode("text", { addSpecial })],
        ["parseSpecial", isBoolean, (parseSpecial) => tokenizer.encode("text", { parseSpecial })],
        ["decode tokens", (value) => ArrayBuffer.isView(value) || isTokens(value), (wrong) => tokenizer.decode(wrong)],
        ["a token to decode", isIndex, (wrong) => tokenizer.decode([wrong])],
        ["decode options", isOptions, (wrong) => tokenizer.decode([1], wrong)],
        ["decode special", isBoolean, (special) => tokenizer.decode([1], { special })],
        ["bytes token", isIndex, (wrong) => tokenizer.bytes(wrong)],
        ["bytes options", isOptions, (wrong) => tokenizer.bytes(1, wrong)],
        ["isEndOfGeneration", isIndex, (wrong) => tokenizer.isEndOfGeneration(wrong)],

        ["evaluate entries", never, (wrong) => context.evaluate(wrong)],
        ["an entry", never, (wrong) => context.evaluate([wrong])],
        ["an entry's sequence", never, (other) => evaluate({ sequence: other })],
        ["an entry's tokens", isPrompt, (wrong) => evaluate({ tokens: wrong })],
        ["an entry's logits", never, (logits) => evaluate({ logits })],
        ["an entry's kind", never, (kind) => evaluate({ kind })],
        ["evaluate options", isOptions, (wrong) => context.evaluate([{ sequence, tokens }], wrong)],
        ["evaluate into", isFloats, (into) => context.evaluate([{ sequence, tokens, logits: "last" }], { into })],
        ["evaluate signal", isSignal, (signal) => context.evaluate([{ sequence, tokens }], { signal })],
        ["sequence.evaluate tokens", isPrompt, (wrong) => sequence.evaluate(wrong)],
        ["sequence.evaluate options", isOptions, (wrong) => sequence.evaluate(tokens, wrong)],

        ["capture options", isOptions, (wrong) => context.capture(wrong)],
        ["site", isString, (site) => attach({ site })],
        ["capture layers", (value) => isNumber(value) || isArray(value), (layers) => attach({ layers })],
        ["capture rows", never, (rows) => attach({ rows })],
        ["capacity", isCount, (capacity) => attach({ capacity })],
        ["capture into", isFloats, (into) => attach({ into })],
        ["capture type", never, (type) => attach({ type })],
        ["capture into of halves", never, (into) => attach({ type: "f16", into })],
        ...selectionCases("capture rows", (rows) => attach({ rows })),
        ...layerCases("capture layers", (layers) => attach({ layers })),
        ["rowCount", isNumber, (wrong) => capture.rowCount(wrong)],
        ["labels", isNumber, (wrong) => capture.labels(wrong)],
        ["layer", isNumber, (wrong) => capture.layer(wrong)],
        ["row", isIndex, (wrong) => capture.row(1, wrong)],

        ["generate prompt", isPrompt, (wrong) => sequence.generate(wrong).result()],
        ["generate options", isOptions, (wrong) => sequence.generate(tokens, wrong).result()],
        ["maxTokens", isCount, (maxTokens) => generate({ maxTokens })],
        ["temperature", isNumber, (temperature) => generate({ temperature })],
        ["topK", isIndex, (topK) => generate({ topK })],
        ["topP", isNumber, (topP) => generate({ topP })],
        ["minP", isNumber, (minP) => generate({ minP })],
        ["repeatPenalty", isNumber, (repeatPenalty) => generate({ repeatPenalty })],
        ["repeatLast", isIndex, (repeatLast) => generate({ repeatLast })],
        ["seed", isIndex, (seed) => generate({ seed })],
        ["logitBias", never, (logitBias) => generate({ logitBias })],
        ["a biased token", isIndex, (wrong) => generate({ logitBias: new Map([[wrong, 1]]) })],
        ["a bias", isNumber, (wrong) => generate({ logitBias: new Map([[1, wrong]]) })],
        ["stopTokens", isArray, (stopTokens) => generate({ stopTokens })],
        ["a stop token", isIndex, (wrong) => generate({ stopTokens: [wrong] })],
        ["stop", isString, (stop) => generate({ stop })],
        ["a stop string", isString, (wrong) => generate({ stop: [wrong] })],
        ["grammar", isString, (grammar) => generate({ grammar })],
        ["grammarRoot", isString, (grammarRoot) => generate({ grammar: 'root ::= "a"', grammarRoot })],
        ["generate signal", isSignal, (signal) => generate({ signal })],

        ["generate capture", isOptions, (capture) => generate({ capture })],
        ["generate capture site", isString, (site) => generate({ capture: { site } })],
        ["generate capture rows", never, (rows) => generate({ capture: { rows } })],
        ["generate capture type", never, (type) => generate({ capture: { type } })],
        ["generate capture capacity", isCount, (capacity) => generate({ capture: { capacity } })],
        ["generate capture into", isFloats, (into) => generate({ capture: { into } })],
        ["generate capture into of halves", never, (into) => generate({ capture: { type: "f16", into } })],
        ...selectionCases("generate capture rows", (rows) => generate({ capture: { rows } })),
        ...layerCases("generate capture layers", (layers) => generate({ capture: { layers } })),

        ["steer vector", never, (wrong) => sequence.steer(wrong)],
        ["steer options", isOptions, (wrong) => sequence.steer(vector, wrong)],
        ["strength", isSchedule, (strength) => sequence.steer(vector, { strength })],
        [
            "steer layers",
            (value) => isNumber(value) || isArray(value),
            (wrong) => sequence.steer(vector, { layers: wrong }),
        ],
        ["scope", never, (scope) => sequence.steer(vector, { tokens: scope })],
        ...selectionCases("steer tokens", (tokens) => sequence.steer(vector, { tokens })),
        ...layerCases("steer layers", (layers) => sequence.steer(vector, { layers })),
        [
            "strength set",
            isSchedule,
            (wrong) => {
                steering.strength = wrong;
            },
        ],
        ["truncate", (value) => isIndex(value), (wrong) => sequence.truncate(wrong)],

        ["vector layers", never, (wrong) => new SteeringVector(wrong, new Float32Array(0))],
        ["a layer of a vector", isIndex, (wrong) => new SteeringVector([wrong], new Float32Array(128))],
        ["vector data", isFloats, (wrong) => new SteeringVector([1], wrong)],
        ["vector.layer", isNumber, (wrong) => vector.layer(wrong)],
        ["vector.select", (value) => isNumber(value) || isArray(value), (wrong) => vector.select(wrong)],

        ...(await vectorCases(vector)),

        ["fit options", never, (wrong) => fitDirection(wrong)],
        ["activations", isFloats, (activations) => fitWith({ activations })],
        ["fit layers", isTokens, (layers) => fitWith({ layers })],
        ["a layer of a fit", isIndex, (wrong) => fitWith({ layers: [wrong] })],
        ["scores", isFloats, (scores) => fitWith({ scores })],
        ["preserve", isFloats, (preserve) => fitWith({ preserve })],
        ["method", never, (method) => fitWith({ method })],
        ["lambda", (value) => isNumber(value) || isNumbers(value), (lambda) => fitWith({ lambda })],
        ["a lambda of a list", isNumber, (wrong) => fitWith({ lambda: [1, wrong] })],
        ["lambdaUnit", never, (lambdaUnit) => fitWith({ lambdaUnit })],
        ["diagnostics", isOptions, (diagnostics) => fitWith({ diagnostics })],
        ["crossValidation", isIndex, (crossValidation) => fitWith({ diagnostics: { crossValidation } })],
        ["bootstrap", isIndex, (bootstrap) => fitWith({ diagnostics: { bootstrap } })],
        ["seed", isIndex, (seed) => fitWith({ diagnostics: { seed } })],
        ["memoryBudget", isIndex, (memoryBudget) => fitWith({ memoryBudget })],
        ["preserveMode", never, (preserveMode) => fitWith({ preserveMode })],
        ["threshold", isNumber, (threshold) => fitWith({ threshold })],
        ["fit onProgress", isFunction, (onProgress) => fitWith({ onProgress })],
        ["fit signal", isSignal, (signal) => fitWith({ signal })],

        ["moments options", never, (wrong) => new MomentsAccumulator(wrong)],
        ["moments layers", isTokens, (layers) => makeMoments({ layers })],
        ["a layer of moments", isIndex, (wrong) => makeMoments({ layers: [wrong] })],
        ["moments width", isCount, (width) => makeMoments({ width })],
        ["moments groups", isCount, (groups) => makeMoments({ groups })],
        ["secondMoment", never, (secondMoment) => makeMoments({ secondMoment })],
        ["bytesNeeded", never, (wrong) => MomentsAccumulator.bytesNeeded(wrong)],
        ["fromBytes", (value) => value instanceof Uint8Array, (wrong) => MomentsAccumulator.fromBytes(wrong)],
        ["rows to add", never, (wrong) => moments.add(wrong)],
        ["add options", isOptions, (wrong) => moments.add(capture, wrong)],
        [
            "add groups",
            (value) => value === 0 || value instanceof Int32Array,
            (groups) => moments.add(capture, { groups }),
        ],
        [
            "add weights",
            (value) => value instanceof Float32Array || value instanceof Float64Array,
            (weights) => moments.add(capture, { weights }),
        ],
        ["add signal", isSignal, (signal) => moments.add(capture, { signal })],
        ["moments layer", isNumber, (wrong) => moments.count(wrong)],
        ["moments group", isIndex, (wrong) => moments.count(1, wrong)],
        ["covariance options", isOptions, (wrong) => moments.covariance(1, 0, wrong)],
        ["unbiased", isBoolean, (unbiased) => moments.variance(1, 0, { unbiased })],
        ["merge", never, (wrong) => moments.merge(wrong)],

        ["a schedule", isNumber, (wrong) => scheduleAt(wrong, 0)],
        ["a step", isNumber, (wrong) => scheduleAt(1, wrong)],
        ["a schedule's value", isNumber, (value) => scheduleAt({ kind: "constant", value }, 0)],
        ["a schedule's kind", never, (kind) => scheduleAt({ kind, value: 1 } as Anything, 0)],
        ["a schedule's points", never, (points) => scheduleAt({ kind: "piecewise", points }, 0)],
        ["a phase", isNumber, (prompt) => scheduleAt({ kind: "phases", prompt, generation: 1 }, 0)],
        ["a list of marked schedules", never, (between) => scheduleAt({ kind: "phases", between }, 0)],
        ["inside", never, (inside) => scheduleAt({ kind: "phases", generation: 1 }, 0, inside)],

        ["find options", never, (wrong) => findCondition(wrong)],
        ["find vector", never, (other) => find({ vector: other })],
        ["positive", never, (positive) => find({ positive })],
        ["negative", never, (negative) => find({ negative })],
        ["find layers", (value) => isNumber(value) || isArray(value), (layers) => find({ layers })],
        ["measure", never, (measure) => find({ measure })],
        ["compare", never, (compare) => find({ compare })],
        ["find signal", isSignal, (signal) => find({ signal })],
        ["rows to take norms of", never, (wrong) => meanNorms(wrong)],
    ];
}

function describeFailure(error: unknown): string {
    return error === undefined
        ? "accepted"
        : error instanceof SteerError
          ? `${error.code} ${error.message}`
          : String(error);
}

async function stillAnswers(): Promise<boolean> {
    const context = await chatContext();
    const { tokens } = await context.sequence().generate(question("Where?"), { maxTokens: 2 }).result();
    await context.dispose();
    return tokens.length === 2;
}

/** Lists that reach a check of their elements may be refused for those instead. */
const otherCodes: Record<string, readonly string[]> = {
    capacity: ["OUT_OF_MEMORY"],
    "generate capture capacity": ["OUT_OF_MEMORY"],
    "evaluate entries": ["PROMPT_EMPTY"],
    "vector layers": ["WIDTH_MISMATCH"],
    "fit layers": ["WIDTH_MISMATCH"],
};

test("every parameter refuses every wrong type with INVALID_ARGUMENT", async (t) => {
    const surprises: string[] = [];
    for (const [name, accepts, call] of await cases()) {
        for (const [kind, value] of wrongValues(accepts)) {
            const error = await failureOf(() => call(value as Anything));
            // A number that is none, or too large for its place, may be told apart from a wrong type.
            const allowed = [
                "INVALID_ARGUMENT",
                ...(isNumber(value) ? ["NOT_FINITE"] : []),
                ...(otherCodes[name] ?? []),
            ];
            if (!(error instanceof SteerError && allowed.includes(error.code) && error.message.length > 10)) {
                surprises.push(`${name} given ${kind}: ${describeFailure(error)}`);
            }
        }
    }
    t.deepEqual(surprises, []);
    t.true(await stillAnswers());
});

test("undefined stands for the default in every option, and is refused where something must be given", async (t) => {
    const surprises: string[] = [];
    for (const [name, , call] of await cases()) {
        const error = await failureOf(() => call(undefined as Anything));
        if (error !== undefined && !(error instanceof SteerError)) {
            surprises.push(`${name}: ${describeFailure(error)}`);
        }
    }
    t.deepEqual(surprises, []);
});

test("an error that a caller's own object throws comes through, and nothing is left half done", async (t) => {
    const own = new Error("from a getter");
    const surprises: string[] = [];
    for (const [name, , call] of await cases()) {
        const error = await failureOf(() => call(hostileObject(own) as Anything));
        if (error !== own && !(error instanceof SteerError)) {
            surprises.push(`${name}: ${describeFailure(error)}`);
        }
    }
    t.deepEqual(surprises, []);
    const context = await chatContext();
    const sequence = context.sequence();
    await t.throwsAsync(async () => sequence.generate("text", hostileObject(own)).result(), { is: own });
    t.is((await sequence.generate(question("Where?"), { maxTokens: 2 }).result()).tokens.length, 2);
    await context.dispose();
});
