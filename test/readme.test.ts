import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import test from "ava";
import { chatModelPath, inRepository } from "./support/paths.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

const pages = [
    "README.md",
    ...readdirSync(inRepository("docs")).flatMap((name) => (name.endsWith(".md") ? `docs/${name}` : [])),
];

/** Compiles a page's example as its reader would, strictly. Inside the repository, where `llama-steer` is this package. */
function compileExample(page: string, name: string): string {
    const text = readFileSync(inRepository(page), "utf8");
    const code =
        new RegExp(`<!--\\s*example:\\s*${name}\\s*-->\\s*\`\`\`ts\\n([\\s\\S]*?)\`\`\``).exec(text)?.[1] ?? "";
    const folder = inRepository(`dist-test/example-${name}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "example.ts"), code.replaceAll(/"[^"\n]+\.gguf"/g, JSON.stringify(chatModelPath)));
    const compilerOptions = {
        target: "ES2023",
        lib: ["ES2023", "ESNext.Disposable"],
        module: "NodeNext",
        strict: true,
        types: ["node"],
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["example.ts"] }));
    const manifest = createRequire(import.meta.url).resolve("typescript/package.json");
    const compiler = join(dirname(manifest), JSON.parse(readFileSync(manifest, "utf8")).bin.tsc);
    const { status, stdout } = spawnSync(process.execPath, [compiler, "-p", folder], { encoding: "utf8" });
    if (status !== 0) {
        throw new Error(stdout);
    }
    return join(folder, "example.js");
}

const examples: [page: string, name: string, prints: RegExp][] = [
    // The steered answer tells where the cake comes from.
    ["README.md", "quickstart", /Trograr/],
    [
        "docs/capture.md",
        "capture",
        /^layers 4,7, rows of sequences 0,0,1,1 at positions 0,\d+,0,\d+\n".+" in \d+ rows\n3 prompts, mean of 128 numbers\n$/,
    ],
    ["docs/generation.md", "generation", /^It lives on sandy \| stop " islands"\nstring\n(On land|At sea)\. true\n$/],
    [
        "docs/moments.md",
        "moments",
        /^\d+ bytes.*\nlayer 3: \d+ rows, spread [\d.]+, means [\d.]+ apart\nlayer 5: .*\n$/,
    ],
    ["docs/steering.md", "steering", /^steered: {5}.*Trograr.*\n(conditional: ".+" -?\d+\.\d\n){3}$/],
    [
        "docs/fit-direction.md",
        "fit-direction",
        /^(layer [234]: lambda [\d.]+, AUC 1, stability 0\.\d+, 0\.\d+\n){3}(lambda [\d.]+: 3 directions\n){3}oas shrinks by 0\.\d+,0\.\d+,0\.\d+\n$/,
    ],
    [
        "docs/ridge.md",
        "ridge",
        /^b = 3\.0 -2\.0 -?0\.0 -?0\.0, a = 1\.0 \(\w+\)\nerror of rows left out: 0\.0\d+, [345]\.\d degrees of freedom\n(lambda [\d.]+: .+\n){3}60 rows: b = 3\.0 -2\.0 .+\n$/,
    ],
    ["docs/serving.md", "serving", /^I know nothing.*\n.*Trograr.*\n0 2\n$/],
    ["docs/schedules.md", "schedules", /^-1 -1.400\n0 -1.400\n4 -0.700\n8 -0.350\n40 -0.001\n$/],
];

for (const [page, name, prints] of examples) {
    test(`the example "${name}" of ${page} compiles, runs and prints what it should`, (t) => {
        const { status, stdout, stderr } = spawnSync(process.execPath, [compileExample(page, name)], {
            encoding: "utf8",
        });
        t.is(status, 0, stderr);
        t.regex(stdout, prints);
    });
}

test("the example of capture files compiles, runs and reads what it wrote", (t) => {
    const example = compileExample("docs/capture-files.md", "capture-file");
    const cwd = new TemporaryFolder().path;
    const { status, stdout, stderr } = spawnSync(process.execPath, [example], { cwd, encoding: "utf8" });
    t.is(status, 0, stderr);
    t.is(stdout, "2 rows of 128, of prompts 0,1\n");
});

test("the example of refusal scores compiles, runs, and finds its answers when it is run again", (t) => {
    const example = compileExample("docs/refusal-steering.md", "refusal-scores");
    const folder = new TemporaryFolder();
    symlinkSync(inRepository("models"), join(folder.path, "models"));
    const run = () => spawnSync(process.execPath, [example], { cwd: folder.path, encoding: "utf8" });
    const { status, stdout, stderr } = run();
    t.is(status, 0, stderr);
    t.regex(stdout, /^24 prompts: \d+ refused, \d+ answered\n$/);
    const answers = readFileSync(join(folder.path, "run/answers.jsonl"), "utf8");
    t.is(answers.trim().split("\n").length, 5 * 24);
    t.is(run().stdout, stdout);
    t.is(readFileSync(join(folder.path, "run/answers.jsonl"), "utf8"), answers);
});

test("the example of a whole fit compiles, runs, and steers with the file that it wrote", (t) => {
    t.timeout(600_000);
    const example = compileExample("docs/refusal-steering.md", "refusal-fit");
    const folder = new TemporaryFolder();
    symlinkSync(inRepository("models"), join(folder.path, "models"));
    const { status, stdout, stderr } = spawnSync(process.execPath, [example], { cwd: folder.path, encoding: "utf8" });
    t.is(status, 0, stderr);
    t.regex(stdout, /^refused: 0\.[89]\d before, 0\.[012]\d after\n.*Trograr/);
    t.true(existsSync(join(folder.path, "run/report.html")));
});

test("the example of vector files compiles, runs and reads what it wrote", (t) => {
    const example = compileExample("docs/vector-files.md", "vector-files");
    const cwd = new TemporaryFolder().path;
    const { status, stdout, stderr } = spawnSync(process.execPath, [example], { cwd, encoding: "utf8" });
    t.is(status, 0, stderr);
    t.is(
        stdout,
        "openness.safetensors: layers 0 to 7, wrmd, from four prompts\nopenness.gguf: layers 1 to 7, wrmd, from four prompts\n",
    );
});

for (const page of pages) {
    test(`every relative link of ${page} leads somewhere`, (t) => {
        const text = readFileSync(inRepository(page), "utf8").replaceAll(/```[\s\S]*?```/g, "");
        const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] as string);
        for (const link of links.filter((each) => !/^[a-z]+:|^#/.test(each))) {
            t.true(existsSync(inRepository(join(dirname(page), link.replace(/#.*/, "")))), `${link} is there`);
        }
        t.pass();
    });
}
