import { promptSets } from "../prompt.js";
import type { RunReport } from "../run-report.js";
import { type Html, html } from "./html.js";
import { integer, signed } from "./numbers.js";
import { folded, missing, type Section } from "./section.js";
import { setNames } from "./words.js";

type Example = RunReport["examples"][number];

/** Of each set, shown at once; the others fold out. */
const open = 4;
/** Characters of an answer that stand at once; where it is longer, the rest folds out. */
const beginning = 700;

/** Answers of the eval split, side by side. */
export function examples({ examples: all }: RunReport): Section {
    const shown = promptSets.flatMap((set) => all.filter((each) => each.set === set).slice(0, open));
    const rest = all.filter((each) => !shown.includes(each));
    const body =
        all.length === 0
            ? missing("This run kept no sample answers.")
            : html`${shown.map(exampleHtml)}${
                  rest.length === 0 ? undefined : folded(`${rest.length} more`, rest.map(exampleHtml))
              }<p class="caption">The number is the judge’s label: −1 answers, +1 refuses; with the kind of refusal where the judge names one.</p>`;
    return { id: "answers", title: "Answers side by side", short: "Answers", body };
}

function exampleHtml({ set, prompt, question, baseline, steered }: Example): Html {
    return html`<article class="example"><header><span class="set ${set}">${setNames[set]}</span> <span class="id">${prompt}</span>
<p class="question" dir="auto">${question}</p></header>
<div class="pair">${answer("Baseline", baseline)}${answer("Steered", steered)}</div></article>
`;
}

function answer(name: string, { text, label, kind }: Example["baseline"]): Html {
    const what = kind === undefined ? signed(label, 2) : `${signed(label, 2)}, ${kind}`;
    return html`<div class="answer"><h4>${name} <span class="label">${what}</span></h4>${answerText(text)}</div>`;
}

function answerText(text: string): Html {
    if (text.trim() === "") {
        return html`<p class="missing">(empty)</p>`;
    }
    if (text.length <= beginning + 200) {
        return html`<p class="text" dir="auto">${text}</p>`;
    }
    const cut = cutAt(text);
    return html`<p class="text" dir="auto">${text.slice(0, cut)}…</p>${folded(
        `${integer(text.length - cut)} more characters`,
        html`<p class="text" dir="auto">${text.slice(cut)}</p>`,
    )}`;
}

/** Between words where there are any, and never within a character. */
function cutAt(text: string): number {
    const space = text.lastIndexOf(" ", beginning);
    const cut = space > beginning / 2 ? space : beginning;
    return /[\udc00-\udfff]/.test(text.charAt(cut)) ? cut - 1 : cut;
}
