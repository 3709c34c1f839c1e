import { fileURLToPath } from "node:url";

/** The repository; this file runs from dist-test/support. */
export const repository = fileURLToPath(new URL("../../", import.meta.url));

/** A file of the repository. */
export function inRepository(path: string): string {
    return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

export const chatModelPath = inRepository("models/testbed/valdoria-chat.gguf");
