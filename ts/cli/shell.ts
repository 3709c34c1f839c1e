/** This command line, to be given again. */
export function commandLine(args: readonly string[] = process.argv.slice(2)): string {
    return ["llama-steer", ...args.map(quoted)].join(" ");
}

/** A word as a POSIX shell reads it back. */
export const quoted = (word: string): string =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
