import { pathToFileURL } from "node:url";
import test from "ava";
import {
    Activations,
    Capture,
    CaptureFile,
    CaptureFileWriter,
    Context,
    Generation,
    Model,
    MomentsAccumulator,
    Sequence,
    SteerError,
    Steering,
    SteeringVector,
    Tokenizer,
} from "llama-steer";
import { RidgeAccumulator } from "llama-steer/ridge";
import { failureOf } from "./support/expect-code.js";
import { chatModelPath, inRepository } from "./support/paths.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { chatContext, chatModel, question } from "./support/testbed.js";

/** Calls every function among an object's own members with each receiver; returns what failed otherwise than it may. */
async function callAll(prototype: object, receivers: readonly unknown[], args: readonly unknown[]): Promise<string[]> {
    const surprises: string[] = [];
    const members = Object.getOwnPropertyDescriptors(prototype);
    for (const [name, member] of Object.entries(members)) {
        for (const call of [member.value, member.get, member.set]) {
            if (typeof call !== "function" || name === "constructor") {
                continue;
            }
            for (const receiver of receivers) {
                const error = await failureOf(() => Reflect.apply(call, receiver, args));
                if (!(error instanceof TypeError || error instanceof SteerError)) {
                    surprises.push(`${name} on ${Object.prototype.toString.call(receiver)}: ${String(error)}`);
                }
            }
        }
    }
    return surprises;
}

test("methods of our classes on anything else throw", async (t) => {
    const model = await chatModel();
    const context = await chatContext();
    const nothing = [undefined, null, 1, "text"];
    for (const { prototype } of [
        Model,
        Context,
        Sequence,
        Tokenizer,
        Generation,
        Capture,
        CaptureFile,
        CaptureFileWriter,
        MomentsAccumulator,
        RidgeAccumulator,
    ]) {
        const objects = [{}, model, context, model.tokenizer].filter(
            (each) => !(each instanceof prototype.constructor),
        );
        const lenient = ["forget", "release", "checkUsable", "startGeneration"];
        const surprises = await callAll(prototype, [...nothing, ...objects, Object.create(prototype)], [1, 1]);
        t.deepEqual(
            surprises.filter((each) => !lenient.some((name) => each.startsWith(name))),
            [],
            prototype.constructor.name,
        );
    }
    for (const { prototype } of [Activations, Steering, SteeringVector]) {
        t.deepEqual(await callAll(prototype, nothing.slice(0, 2), [1, 1]), []);
    }
    const { text } = await context.sequence().generate(question("Where does the groso fish live?")).result();
    t.regex(text, /sandy/);
    await context.dispose();
});

test("methods of the native classes on anything else throw, and the classes cannot be made from outside", async (t) => {
    interface Task {
        promise: Promise<object>;
    }
    interface Loaded {
        createContext(options: object, onStep: () => void, onLive: () => Float64Array): Task;
        createDirections(request: object): object;
        createIntervention(request: object): object;
    }
    const path = pathToFileURL(inRepository("dist/native.js")).href;
    interface Native {
        loadModel(path: string, options: object): Task;
        createMoments(options: object): object;
        createRidgeAccumulator(options: object): object;
        openCaptureWriter(directory: string, options: object): Task;
        openCaptureReader(directory: string, recover: boolean): Task;
    }
    const { native } = (await import(path)) as { native: Native };
    const model = (await native.loadModel(chatModelPath, {}).promise) as object & Loaded;
    const context = await model.createContext(
        { threads: 1 },
        () => {},
        () => new Float64Array(),
    ).promise;
    const vectors = [{ data: new Float32Array(128), layers: Int32Array.of(1) }];
    const directions = model.createDirections({ operation: 0, normUnits: false, vectors, up: [], bias: [] });
    const intervention = model.createIntervention({
        site: "residual",
        directions,
        tokens: { scope: 0 },
        preserveNorm: false,
        live: false,
        numbers: { strength: 1 },
    });
    const moments = native.createMoments({ layers: Int32Array.of(1), width: 4, groups: 1, secondMoment: 2 });
    const ridge = native.createRidgeAccumulator({ width: 4, targetCount: 1, memoryLimit: 0 });
    const directory = new TemporaryFolder().path;
    const description = { site: "x", layers: Int32Array.of(1), width: 2, half: false, metadata: [] };
    const flags = { append: false, recover: false, durable: false };
    const writer = await native.openCaptureWriter(directory, { ...description, ...flags }).promise;
    const reader = await native.openCaptureReader(directory, false).promise;
    const objects = [model, context, directions, intervention, moments, ridge, writer, reader];
    for (const object of objects) {
        const prototype = Object.getPrototypeOf(object) as object;
        const receivers = [undefined, null, 1, {}, Object.create(object), ...objects.filter((each) => each !== object)];
        t.deepEqual(await callAll(prototype, receivers, [0, 0]), []);
        for (const args of [[], [{}], [model], [1, 2]]) {
            t.throws(() => Reflect.construct(object.constructor as never, args), { instanceOf: TypeError });
        }
        t.throws(() => (object.constructor as () => void)(), { instanceOf: TypeError });
    }
});
