/** Tells users what the native side wants them to know, as a process warning; an empty text is nothing. */
export function emitNotice(notice: string): void {
    if (notice !== "") {
        process.emitWarning(notice, "LlamaSteerNotice");
    }
}
