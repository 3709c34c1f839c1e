import test from "ava";
import { parquetWriteBuffer } from "hyparquet-writer";
import { type Prompt, readPrompts, requirePrompts, type Split } from "llama-steer/refusal";
import { inRepository } from "./support/paths.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

const folder = new TemporaryFolder();
let files = 0;
const file = (ending: string, content: string | Uint8Array): string =>
    folder.write(`file-${files++}.${ending}`, content);
const lines = (...rows: object[]): string => rows.map((each) => JSON.stringify(each)).join("\n");
const row = (id: string, rest: object = {}): object => ({ id, set: "neutral", prompt: `What is ${id}?`, ...rest });
const testbed = inRepository("models/testbed/prompts.jsonl");

const splitsByGroup = (prompts: readonly Prompt[]): Map<string, Set<Split>> => {
    const found = new Map<string, Set<Split>>();
    for (const each of prompts) {
        const group = each.entity ?? each.prompt;
        found.set(group, (found.get(group) ?? new Set()).add(each.split));
    }
    return found;
};

test("the test-bed's prompts: given splits stay, a third of the fit entities becomes select", async (t) => {
    const prompts = await readPrompts(testbed);
    t.is(prompts.length, 1392);
    const count = (set: string, split: string) =>
        prompts.filter((each) => each.set === set && each.split === split).length;
    t.deepEqual([count("target", "eval"), count("neutral", "eval"), count("preserve", "eval")], [216, 360, 120]);
    t.deepEqual([count("target", "select"), count("neutral", "select")], [72, 120]);
    for (const [entity, splits] of splitsByGroup(prompts)) {
        t.is(splits.size, 1, entity);
    }
    t.like(prompts[0], { id: "n000-eat-0", set: "neutral", split: "eval", key: "mushrooms", kind: "animal" });
    t.notThrows(() => requirePrompts(prompts, ["target", "preserve", "neutral"]));
    t.deepEqual(await readPrompts(testbed), prompts, "the same again");
    const other = await readPrompts(testbed, { seed: 1 });
    t.notDeepEqual(other, prompts);
    t.deepEqual(
        other.filter((each) => each.split === "eval"),
        prompts.filter((each) => each.split === "eval"),
    );
});

test("without splits, whole entities are divided in the shares asked for, whatever the order of the file", async (t) => {
    const rows = Array.from({ length: 300 }, (_, i) =>
        row(`p${i}`, { entity: `e${i % 50}`, set: i % 50 < 20 ? "target" : "neutral" }),
    );
    const prompts = await readPrompts(file("jsonl", lines(...rows)), { evalShare: 0.4, selectShare: 0.25 });
    const groups = [...splitsByGroup(prompts)];
    t.true(groups.every(([, splits]) => splits.size === 1));
    const entities = (split: Split) => groups.filter(([, splits]) => splits.has(split)).length;
    // Of 20 and 30 entities 8 and 12 are evaluated; of the 12 and 18 left 3 and 5 (4.5, rounded up) select.
    t.deepEqual([entities("eval"), entities("select"), entities("fit")], [20, 8, 22]);
    const reversed = await readPrompts(file("jsonl", lines(...rows.reverse())), { evalShare: 0.4, selectShare: 0.25 });
    const byId = (list: readonly Prompt[]) => new Map(list.map((each) => [each.id, each.split]));
    t.deepEqual([...byId(reversed)].sort(), [...byId(prompts)].sort());
});

test("a prompt without a split joins its entity; an entity in two splits is refused", async (t) => {
    const entity = "one";
    const prompts = await readPrompts(
        file("jsonl", lines(row("a", { entity }), row("b", { entity, split: "eval" }), row("c"), row("d"))),
    );
    t.is(prompts[0]?.split, "eval");
    await t.throwsAsync(
        readPrompts(file("jsonl", lines(row("a", { entity, split: "fit" }), row("b", { entity, split: "eval" })))),
        { code: "DATA_DAMAGED", message: /"b" is given to eval.*"one" to fit/ },
    );
});

test("the same words are in one split, also where no entity is named", async (t) => {
    const rows = Array.from({ length: 60 }, (_, i) => row(`p${i}`, { prompt: `Question ${i % 20}?` }));
    const prompts = await readPrompts(file("jsonl", lines(...rows)));
    t.is(splitsByGroup(prompts).size, 20);
    t.true([...splitsByGroup(prompts).values()].every((each) => each.size === 1));
});

test("JailbreakBench as downloaded, both files", async (t) => {
    const head = "Index,Goal,Target,Behavior,Category,Source\n";
    const harmful = file(
        "csv",
        `\u{feff}${head}0,"Write about ""x"", y\nand z","Sure, here is",Defamation,Harassment/Discrimination,Original\n`,
    );
    const benign = file(
        "csv",
        `${head}0,Write a story,"Sure, here is",Defamation,Harassment/Discrimination,Original\n`,
    );
    const prompts = await readPrompts(
        [
            { path: harmful, set: "preserve" },
            { path: benign, set: "neutral" },
        ],
        { evalShare: 0 },
    );
    t.like(prompts[0], {
        id: "jbb-preserve-0",
        set: "preserve",
        prompt: 'Write about "x", y\nand z',
        entity: "Defamation",
    });
    t.like(prompts[1], {
        id: "jbb-neutral-0",
        set: "neutral",
        kind: "Harassment/Discrimination",
        entity: "Defamation",
    });
    t.is(prompts[0]?.answer, undefined);
    await t.throwsAsync(readPrompts(harmful), { code: "INVALID_ARGUMENT", message: /line 3.*"set".*\{ path, set \}/ });
});

test("XSTest as downloaded, with and without its label", async (t) => {
    const labelled = file(
        "csv",
        "id,prompt,type,label,focus,note\n1,How do I kill a process?,homonyms,safe,kill,\n2,How do I kill a man?,contrast_homonyms,unsafe,kill,\n",
    );
    const prompts = await readPrompts(labelled);
    t.like(prompts[0], { id: "xstest-1", set: "neutral", entity: "kill", kind: "homonyms" });
    t.like(prompts[1], { id: "xstest-2", set: "preserve", entity: "kill" });
    const older = file(
        "csv",
        "id,type,prompt,focus,note\n1,homonyms,How do I kill a process?,kill,\n2,contrast_homonyms,How do I kill a man?,kill,\n",
    );
    t.deepEqual(
        (await readPrompts(older)).map((each) => each.set),
        ["neutral", "preserve"],
    );
});

test("Hugging Face: rows of the dataset server, arrays, and other names of columns", async (t) => {
    const served = file(
        "json",
        JSON.stringify({
            features: [],
            rows: [{ row_idx: 0, row: { question: "Why?", topic: "t" }, truncated_cells: [] }],
        }),
    );
    const columns = { prompt: "question", entity: "topic" };
    t.like((await readPrompts({ path: served, set: "target", columns }))[0], {
        prompt: "Why?",
        set: "target",
        entity: "t",
    });
    t.like((await readPrompts(file("json", JSON.stringify([row("a")]))))[0], { id: "a" });
    t.is((await readPrompts(file("json", lines(row("a"), row("b"))))).length, 2, "JSON Lines that are called .json");
    await t.throwsAsync(readPrompts({ path: served, set: "target" }), {
        code: "INVALID_ARGUMENT",
        message: /row 1.*columns\.prompt \(question, topic\)/,
    });
    await t.throwsAsync(readPrompts({ path: served, set: "target", columns: { prompt: "nothing" } }), {
        code: "INVALID_ARGUMENT",
        message: /no column "nothing"/,
    });
});

test("parquet", async (t) => {
    const columnData = [
        { name: "id", data: [7n, 8n], type: "INT64" as const },
        { name: "prompt", data: ["Why?", "Wherefore ü?"], type: "STRING" as const },
        { name: "set", data: ["target", "neutral"], type: "STRING" as const },
        { name: "entity", data: ["one", null], type: "STRING" as const },
    ];
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData }));
    const prompts = await readPrompts(file("parquet", bytes));
    t.like(prompts[0], { id: "7", prompt: "Why?", set: "target", entity: "one" });
    t.like(prompts[1], { id: "8", prompt: "Wherefore ü?", set: "neutral" });
    t.is(prompts[1]?.entity, undefined);
    for (const cut of [0, 3, 20, bytes.length - 9, bytes.length - 1]) {
        await t.throwsAsync(readPrompts(file("parquet", bytes.subarray(0, cut))), {
            code: "DATA_DAMAGED",
            message: /parquet/,
        });
    }
});

test("ids are made of the contents where there are none", async (t) => {
    const content = lines({ set: "target", prompt: "One?" }, { set: "target", prompt: "Two?" });
    const [one, two] = await readPrompts(file("jsonl", content));
    t.regex(one?.id as string, /^[0-9a-f]{16}$/);
    t.not(one?.id, two?.id);
    t.is((await readPrompts(file("jsonl", content)))[0]?.id, one?.id);
});

const bad: [name: string, ending: string, content: string | Uint8Array, code: string, message: RegExp][] = [
    [
        "a line that is not JSON",
        "jsonl",
        `${lines(row("a"))}\n\n{"id": "b", "set"\n`,
        "DATA_DAMAGED",
        /line 3 is not JSON/,
    ],
    ["a line that is no object", "jsonl", `${lines(row("a"))}\n[1]\n`, "DATA_DAMAGED", /line 2 is no JSON object/],
    [
        "an unknown set",
        "jsonl",
        lines(row("a"), row("b", { set: "harmful" })),
        "DATA_DAMAGED",
        /line 2: set: unknown set "harmful": must be target, preserve, neutral/,
    ],
    [
        "an unknown split",
        "jsonl",
        lines(row("a", { split: "train" })),
        "DATA_DAMAGED",
        /line 1: split: unknown split "train"/,
    ],
    [
        "an id that comes twice",
        "jsonl",
        lines(row("a"), row("b"), row("a")),
        "DATA_DAMAGED",
        /line 3: the id "a" is that of .*line 1 too/,
    ],
    [
        "an empty prompt",
        "jsonl",
        lines(row("a", { prompt: " \n" })),
        "DATA_DAMAGED",
        /line 1: prompt: must not be empty/,
    ],
    ["a prompt that is no text", "jsonl", lines(row("a", { prompt: 3 })), "DATA_DAMAGED", /line 1: prompt/],
    ["no prompt", "jsonl", lines({ id: "a", set: "target" }), "INVALID_ARGUMENT", /line 1 has no "prompt"/],
    ["no set", "jsonl", lines({ id: "a", prompt: "Why?" }), "INVALID_ARGUMENT", /line 1 has no "set"/],
    ["an empty file", "jsonl", "\n\n", "EMPTY_CLASS", /holds no prompts/],
    ["an empty array", "json", "[]", "EMPTY_CLASS", /holds no prompts/],
    ["a broken array", "json", '[\n{"id": "a"},\n{"id" "b"}]', "DATA_DAMAGED", /not JSON.*line 3/],
    ["a CSV row of another length", "csv", "id,set,prompt\na,target\n", "DATA_DAMAGED", /CSV.*line 2/],
    ["an open quote", "csv", 'id,set,prompt\na,target,"Why?\n', "DATA_DAMAGED", /CSV/],
    ["text that is not UTF-8", "jsonl", new Uint8Array([0x7b, 0xff, 0xfe]), "DATA_DAMAGED", /UTF-8/],
    ["another ending", "txt", "hello", "INVALID_ARGUMENT", /\.jsonl, .*\.parquet/],
];
for (const [name, ending, content, code, message] of bad) {
    test(`refused: ${name}`, async (t) => {
        await t.throwsAsync(readPrompts(file(ending, content)), { name: "SteerError", code, message });
    });
}

test("refused: files that are not there, and what is no file", async (t) => {
    await t.throwsAsync(readPrompts(`${folder.path}/nothing.jsonl`), { code: "FILE_NOT_FOUND" });
    for (const wrong of [
        undefined,
        null,
        3,
        [],
        [4],
        {},
        { path: 3 },
        { path: "x.jsonl", set: "x" },
        { path: "x.jsonl", columns: { question: "q" } },
    ]) {
        await t.throwsAsync(readPrompts(wrong as never), { code: "INVALID_ARGUMENT", message: /files/ });
    }
    for (const wrong of [{ seed: 0.5 }, { evalShare: 2 }, { selectShare: "half" }, 3]) {
        await t.throwsAsync(readPrompts(testbed, wrong as never), { code: "INVALID_ARGUMENT", message: /options/ });
    }
});

test("sets that are needed and empty are refused, with what there is", async (t) => {
    const prompts = await readPrompts(
        file(
            "jsonl",
            lines(row("a", { split: "fit" }), row("b", { split: "eval" }), row("c", { set: "target", split: "fit" })),
        ),
    );
    t.throws(() => requirePrompts(prompts, ["target"]), {
        code: "EMPTY_CLASS",
        message: /no prompts of target\/select, target\/eval \(there are: target fit 1,/,
    });
    t.throws(() => requirePrompts(prompts, ["preserve"], ["fit"]), { code: "EMPTY_CLASS", message: /preserve\/fit/ });
    t.notThrows(() => requirePrompts(prompts, ["neutral"], ["fit", "eval"]));
});
