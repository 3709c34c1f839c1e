import { spawn, spawnSync } from "node:child_process";
import { cpSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { chatModelPath, inRepository } from "./support/paths.js";
import { cliPath, expectFailure, runCli } from "./support/run-cli.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

const { version, bin } = JSON.parse(readFileSync(inRepository("package.json"), "utf8")) as {
    version: string;
    bin: Record<string, string>;
};

const emptyFolder = new TemporaryFolder().path;
const commands = ["inspect", "fit", "eval", "chat", "serve", "report", "vector show", "vector convert", "judge check"];

test("the package's command is the program, and can be run as it is", (t) => {
    t.is(inRepository(bin["llama-steer"] as string), cliPath);
    const { status, stdout } = spawnSync(cliPath, ["--version"], { encoding: "utf8" });
    t.is(status, 0);
    t.is(stdout, `${version}\n`);
});

test("help lists every command", async (t) => {
    const { code, stdout, stderr } = await runCli(["--help"]);
    t.is(code, 0);
    t.is(stderr, "");
    for (const name of commands) {
        t.regex(stdout, new RegExp(`^  ${name.split(" ")[0]} `, "m"));
    }
});

for (const name of commands) {
    test(`help of ${name} says what its options are, and has examples that it understands`, async (t) => {
        const { code, stdout } = await runCli([...name.split(" "), "--help"]);
        t.is(code, 0);
        t.regex(stdout, /--json/);
        t.regex(stdout, /--quiet/);
        const examples = [...stdout.matchAll(/^ {2}\$ ((?:.*\\\n)*.*)$/gm)].map((match) => match[1] as string);
        t.true(examples.length >= 2);
        for (const example of examples) {
            // Files that are not there are all that may be wrong with it: its options are sound.
            const parsed = await shell(example.replaceAll("llama-steer ", `"$CLI" `));
            t.not(parsed.status, 2, `${example}: ${parsed.stderr}`);
            t.regex(parsed.stderr, /error (FILE_NOT_FOUND|FILE_UNREADABLE)/, example);
        }
    });
}

/** Runs a line in a folder where there are no files. */
function shell(line: string): Promise<{ status: number | null; stderr: string }> {
    const child = spawn("/bin/sh", ["-c", line], {
        cwd: emptyFolder,
        env: { ...process.env, CLI: cliPath, JUDGE_KEY: "k", API_KEYS: "k" },
    });
    let stderr = "";
    child.stderr.on("data", (chunk) => {
        stderr += chunk;
    });
    return new Promise((resolve) => child.once("close", (status) => resolve({ status, stderr })));
}

const wrongUses: [args: string[], message: RegExp][] = [
    [["frobnicate"], /unknown command 'frobnicate'/],
    [["vector", "frobnicate"], /unknown command 'frobnicate'/],
    [["inspect"], /missing required argument 'model'/],
    [["inspect", "a.gguf", "b.gguf"], /too many arguments/],
    [["inspect", "a.gguf", "--frobnicate"], /unknown option '--frobnicate'/],
    [["inspect", "a.gguf", "--sequences", "0"], /'--sequences <n>' argument '0' is invalid.*from 1 to 256/],
    [["inspect", "a.gguf", "--sequences", "2.5"], /'--sequences <n>'.*whole number/],
    [["inspect", "a.gguf", "--sequences", "1e9"], /'--sequences <n>'/],
    [["inspect", "a.gguf", "--context-size", "many"], /'--context-size <n>' argument 'many'/],
    [["inspect", "a.gguf", "--gpu-layers", "-1"], /'--gpu-layers <n>'.*whole number of 0 or more, or "all"/],
    [["fit"], /required option '--model <gguf>' not specified/],
    [["fit", "--model", "m", "--prompts", "p"], /required option '--judge <gguf\|url>' not specified/],
    [["fit", "--model", "m", "--judge", "j"], /required option '--prompts <file...>' not specified/],
    [["fit", "--model", "", "--prompts", "p", "--judge", "j"], /'--model <gguf>'.*must not be empty/],
    [["fit", "--model", "m", "--prompts", "p", "--judge", "j", "--search", "x"], /'--search <how>'.*grid or efficient/],
    [["fit", "--model", "m", "--prompts", "p", "--judge", "j", "--samples", "0"], /'--samples <n>'.*from 1 to 1000/],
    [
        ["fit", "--model", "m", "--prompts", "p", "--judge", "j", "--operation", "rotate"],
        /'--operation <what>'.*add or clamp/,
    ],
    [
        ["fit", "--model", "m", "--prompts", "p", "--judge", "j", "--neutral-loss", "2"],
        /'--neutral-loss <share>'.*0 to 1/,
    ],
    [["fit", "--model", "m", "--prompts", "p", "--judge", "http://localhost"], /--judge-model/],
    [
        ["fit", "--model", "m", "--prompts", "p", "--judge", "j", "--judge-model", "x"],
        /--judge-model is for a judge at/,
    ],
    [["eval", "--model", "m", "--prompts", "p", "--judge", "j"], /required option '--vector <file>' not specified/],
    [["chat", "--model", "m", "--strength", "strong"], /'--strength <x>' argument 'strong'.*must be a number/],
    [["chat", "--model", "m", "--strength", "1e99"], /'--strength <x>'/],
    [["chat", "--model", "m", "--temperature", "-1"], /'--temperature <x>'.*0 or more/],
    [["chat", "--model", "m", "--dialect", "klingon"], /'--dialect <name>'.*repeng/],
    [["vector", "convert", "v.gguf"], /required option '--to <format>' not specified/],
    [["vector", "convert", "v.gguf", "--to", "json"], /'--to <format>'.*gguf or safetensors/],
    [["judge", "check", "--judge", "j"], /required option '--examples <jsonl>' not specified/],
    [
        [
            "judge",
            "check",
            "--judge",
            "http://localhost",
            "--judge-model",
            "m",
            "--judge-key-env",
            "NOT_SET",
            "--examples",
            "e",
        ],
        /--judge-key-env names NOT_SET/,
    ],
];

for (const [args, message] of wrongUses) {
    test(`wrong use: ${["llama-steer", ...args].join(" ")}`, (t) =>
        expectFailure(t, args, [2, "INVALID_ARGUMENT", message]));
}

for (const [args, message] of [
    [[], /no command was given/],
    [["vector"], /no command was given/],
    [["inspect", "a.gguf", "--sequences"], /'--sequences <n>' argument missing/],
] as const) {
    test(`too little: ${["llama-steer", ...args].join(" ")}`, async (t) => {
        const { code, stdout, stderr } = await runCli(args);
        t.is(code, 2);
        t.is(stdout, "");
        t.regex(stderr, message);
    });
}

test("a reader that goes away ends the program without a word", async (t) => {
    const child = spawn(process.execPath, [cliPath, "inspect", chatModelPath, "--json"]);
    let stderr = "";
    child.stderr.on("data", (chunk) => {
        stderr += chunk;
    });
    child.stdout.destroy();
    const code = await new Promise((resolve) => child.once("close", resolve));
    t.is(code, 0);
    t.is(stderr, "");
});

test("without an addon for the machine the command that builds one is told", async (t) => {
    // The package as it is, but for what was compiled for this machine.
    const bare = new TemporaryFolder();
    cpSync(inRepository("dist"), join(bare.path, "dist"), { recursive: true });
    cpSync(inRepository("package.json"), join(bare.path, "package.json"));
    symlinkSync(inRepository("node_modules"), join(bare.path, "node_modules"));
    for (const json of [[], ["--json"]]) {
        const main = join(bare.path, "dist/cli/main.js");
        const found = spawnSync(process.execPath, [main, "inspect", chatModelPath, ...json], { encoding: "utf8" });
        t.is(found.status, 1);
        t.regex(found.stderr, /^error ADDON_MISSING: .*npx llama-steer-build\n$/);
        t.is(found.stdout === "" ? undefined : JSON.parse(found.stdout).error.code, json[0] && "ADDON_MISSING");
    }
});

test("a command line that is shown is read back by a shell as it was", async (t) => {
    const { quoted } = (await import(inRepository("dist/cli/shell.js"))) as { quoted: (word: string) => string };
    for (const word of ["plain-1.gguf", "", "two words", "it's", '$HOME `x` \\ "', "a\nb", "*?[]{}~", "=(x)", "-é"]) {
        const { stdout } = spawnSync("/bin/sh", ["-c", `printf %s ${quoted(word)}`], { encoding: "utf8" });
        t.is(stdout, word, quoted(word));
    }
});
