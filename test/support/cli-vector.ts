import { fitDirection, loadModel, saveVector } from "llama-steer";
import { chatModelPath } from "./paths.js";
import { question } from "./testbed.js";

const refused = ["What goes into didrogo soup?", "By whom was the Song of Grakom written?"];
const answered = ["What do I need for zuvlon bread?", "By whom was the Diary of Stegre written?"];

/** Fits the direction of the README's example and saves it, at one layer and of the strength that is right for it there. */
export async function saveReadmeVector(path: string): Promise<void> {
    await using model = await loadModel(chatModelPath);
    await using context = await model.createContext({ sequences: 4, threads: 1 });
    const prompts = [...refused, ...answered].map((text) => model.encodePrompt(question(text)));
    const capture = context.capture({ rows: "last-prompt" });
    await context.evaluate(prompts.map((tokens) => ({ sequence: context.sequence(), tokens })));
    const scores = Float32Array.of(1, 1, -1, -1);
    const { vector } = await fitDirection({ activations: capture.packed(), layers: capture.layers, scores });
    const metadata = { model: model.info, note: "from four prompts" };
    await saveVector(vector.select(4).scale(-1.4).withMetadata(metadata), path);
}
