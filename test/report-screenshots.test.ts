import { pathToFileURL } from "node:url";
import test from "ava";
import { renderReport } from "llama-steer/refusal";
import { PNG } from "pngjs";
import { Browser, findChromium, type Region, type View } from "./support/browser.js";
import { madeReport } from "./support/made-report.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

const folder = new TemporaryFolder();
const views: View[] = [
    { width: 1280, height: 900, scheme: "light" },
    { width: 1280, height: 900, scheme: "dark" },
    { width: 390, height: 844, scheme: "light" },
    { width: 390, height: 844, scheme: "dark" },
];

/** Where the plots are; those of folded parts are nowhere. */
const regions = `[...document.querySelectorAll("svg.plot")].map((plot) => {
    const { x, y, width, height } = plot.getBoundingClientRect();
    return { x: x + scrollX, y: y + scrollY, width, height };
}).filter(({ width }) => width > 0)`;

/** What pictures do not tell. */
const layout = `({
    inside: document.documentElement.scrollWidth <= innerWidth,
    height: document.documentElement.scrollHeight,
    background: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.body).color,
    outside: [...document.querySelectorAll("svg.plot text, svg.plot .role-mark > *")].filter((each) => {
        const [own, plot] = [each, each.closest("svg")].map((element) => element.getBoundingClientRect());
        return own.width > 0 &&
            (own.left < plot.left - 1 || own.right > plot.right + 1 || own.top < plot.top - 1 || own.bottom > plot.bottom + 1);
    }).map((each) => each.closest("svg").getAttribute("aria-label") + ": " + each.textContent),
    size: [...document.querySelectorAll("svg.plot text")]
        .filter((text) => text.getBoundingClientRect().width > 0)
        .map((text) => parseFloat(getComputedStyle(text).fontSize) * Math.hypot(text.getScreenCTM().a, text.getScreenCTM().b)),
})`;

/** Takes the marks away; axes and their text stay. */
const withoutMarks = `for (const marks of document.querySelectorAll("svg.plot .role-mark")) marks.setAttribute("visibility", "hidden")`;

interface Layout {
    inside: boolean;
    /** Marks and text that a picture cuts off. */
    outside: string[];
    height: number;
    background: string;
    ink: string;
    /** Of the text in plots, in pixels of the screen. */
    size: number[];
}

/** The whole page, as it is and without the marks of its plots. */
async function pictures(browser: Browser, width: number, height: number): Promise<[shown: PNG, bare: PNG]> {
    const take = async (): Promise<PNG> => PNG.sync.read(await browser.picture({ x: 0, y: 0, width, height }));
    const shown = await take();
    await browser.evaluate(withoutMarks);
    return [shown, await take()];
}

interface Found {
    /** Different colours. */
    colours: number;
    /** Share of pixels that the marks made. */
    marks: number;
}

function foundIn([shown, bare]: [PNG, PNG], region: Region): Found {
    const [left, top] = [Math.ceil(region.x), Math.ceil(region.y)];
    const [width, height] = [Math.floor(region.width), Math.floor(region.height)];
    const colours = new Set<number>();
    let marks = 0;
    for (let y = top; y < top + height; y++) {
        for (let x = left; x < left + width; x++) {
            const at = 4 * (y * shown.width + x);
            const colour = shown.data.readUInt32BE(at);
            colours.add(colour);
            marks += colour === bare.data.readUInt32BE(at) ? 0 : 1;
        }
    }
    return { colours: colours.size, marks: marks / (width * height) };
}

/** A line of a few points covers about one per cent. */
const isBlank = ({ colours, marks }: Found): boolean => colours < 20 || marks < 0.005;

/** From 1 (none) to 21, as WCAG 2 counts it. */
function contrast(...pair: [string, string]): number {
    const luminance = (colour: string): number => {
        const [red, green, blue] = (colour.match(/\d+/g) ?? []).map((each) => {
            const share = Number(each) / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        }) as [number, number, number];
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const [dark, light] = pair.map(luminance).sort((a, b) => a - b) as [number, number];
    return (light + 0.05) / (dark + 0.05);
}

test.serial(
    "in a browser every plot shows its marks, light and dark, wide and narrow; nothing is asked for or refused",
    async (t) => {
        const chromium = findChromium();
        if (chromium === undefined) {
            t.log("skipped: no Chromium is installed. Debian: apt-get install chromium");
            t.pass();
            return;
        }
        const url = pathToFileURL(folder.write("report.html", await renderReport(madeReport()))).href;
        const browser = await Browser.open(chromium);
        try {
            for (const view of views) {
                const name = `${view.width} ${view.scheme}`;
                await browser.show(url, view);
                const { inside, outside, height, background, ink, size } = await browser.evaluate<Layout>(layout);
                t.true(inside, `${name}: the page is as wide as its window`);
                t.deepEqual(outside, [], name);
                t.true(contrast(background, ink) > 12, `${name}: ${background}, ${ink}`);
                t.is(contrast(background, "rgb(255,255,255)") < 1.5, view.scheme === "light", name);
                t.true(size.length > 100 && Math.min(...size) > 8.5, `${name}: ${Math.min(...size)} pixels`);
                const plots = await browser.evaluate<Region[]>(regions);
                t.is(plots.length, 15, name);
                const pair = await pictures(browser, view.width, height);
                for (const [i, region] of plots.entries()) {
                    t.true(region.width > 200 && region.height > 100, `${name}, plot ${i}`);
                    const found = foundIn(pair, region);
                    t.false(isBlank(found), `${name}, plot ${i}: ${JSON.stringify(found)}`);
                }
            }
            t.deepEqual([...new Set(browser.requests)], [url]);
            t.deepEqual(browser.complaints, []);
        } finally {
            await browser.close();
        }
    },
);

test.serial("words without end, folded out, make no page wider than its window", async (t) => {
    const chromium = findChromium();
    if (chromium === undefined) {
        t.log("skipped: no Chromium is installed");
        t.pass();
        return;
    }
    const long = "x".repeat(300);
    const report = madeReport({ layers: 40, tokens: [long, "all"], lambdas: [1], strengths: [-1, -2], prompts: 20 });
    Object.assign(report.candidates[report.chosen] as object, { condition: long, violations: [long], method: long });
    Object.assign(report, { judge: long, versions: { [long]: long }, settings: { [long]: { [long]: long } } });
    Object.assign(report.model, { path: `models/${long}`, architecture: long });
    Object.assign(report.examples[0] as object, { question: long, prompt: long });
    Object.assign(report.stages[0] as object, { name: long });
    const url = pathToFileURL(folder.write("long.html", await renderReport(report))).href;
    const browser = await Browser.open(chromium);
    try {
        for (const view of views.filter(({ scheme }) => scheme === "light")) {
            await browser.show(url, view);
            await browser.evaluate(`for (const each of document.querySelectorAll("details")) each.open = true`);
            const { inside, outside } = await browser.evaluate<Layout>(layout);
            t.true(inside, String(view.width));
            t.deepEqual(outside, []);
        }
    } finally {
        await browser.close();
    }
});

test.serial("on paper it is light, and what is folded is there", async (t) => {
    const chromium = findChromium();
    if (chromium === undefined) {
        t.log("skipped: no Chromium is installed");
        t.pass();
        return;
    }
    const report = madeReport({ layers: 2, tokens: ["all"], lambdas: [1], strengths: [-1], prompts: 20 });
    const url = pathToFileURL(folder.write("paper.html", await renderReport(report))).href;
    const browser = await Browser.open(chromium);
    try {
        const folded = `[...document.querySelectorAll("details table")].map((table) => table.checkVisibility({ contentVisibilityAuto: true }))`;
        await browser.show(url, { width: 800, height: 1100, scheme: "dark" });
        t.deepEqual(await browser.evaluate(folded), [false]);
        await browser.show(url, { width: 800, height: 1100, scheme: "dark", medium: "print" });
        t.deepEqual(await browser.evaluate(folded), [true]);
        const { ink, inside } = await browser.evaluate<Layout>(layout);
        t.true(contrast(ink, "rgb(255,255,255)") > 12, ink);
        t.true(inside);
    } finally {
        await browser.close();
    }
});

test.serial("a plot without marks would be noticed", async (t) => {
    const chromium = findChromium();
    if (chromium === undefined) {
        t.log("skipped: no Chromium is installed");
        t.pass();
        return;
    }
    const page = await renderReport(madeReport({ layers: 4, tokens: ["all"], lambdas: [1] }));
    const blank = page.replaceAll(/(<g class="mark-[a-z]+ role-mark [^"]*")/g, '$1 display="none"');
    t.not(blank, page);
    const browser = await Browser.open(chromium);
    try {
        await browser.show(pathToFileURL(folder.write("blank.html", blank)).href, views[0] as View);
        const plots = await browser.evaluate<Region[]>(regions);
        const { height } = await browser.evaluate<Layout>(layout);
        const pair = await pictures(browser, 1280, height);
        t.is(plots.length, 12);
        t.true(plots.every((region) => isBlank(foundIn(pair, region))));
    } finally {
        await browser.close();
    }
});
