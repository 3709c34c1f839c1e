import { type Content, type Html, html } from "./html.js";
import { draw, type Plot } from "./plot.js";

/** A part of the report, with a heading and a place to jump to. */
export interface Section {
    id: string;
    title: string;
    /** In the list at the top. */
    short: string;
    body: Html;
}

export function sectionHtml({ id, title, body }: Section): Html {
    return html`<section id="${id}"><h2>${title}</h2>${body}</section>`;
}

/** A plot with its title above, and below how to read it. */
export async function figure(title: Content, plot: Plot, caption?: Content): Promise<Html> {
    const below = caption === undefined ? undefined : html`<p class="caption">${caption}</p>`;
    return html`<figure><figcaption>${title}</figcaption><div class="scroll">${await draw(plot)}</div>${below}</figure>`;
}

/** What stands in place of a plot without data. */
export function missing(text: string): Html {
    return html`<p class="missing">${text}</p>`;
}

export interface Column {
    name: string;
    /** Aligned to the right, with figures of one width. */
    number?: boolean;
    /** Bars that say again what a figure says: left out where the page is narrow. */
    bars?: boolean;
}

const kindOf = (number = false, bars = false): string => (number ? "number" : bars ? "bars" : "words");

/** A table whose first column names its rows. */
export function table(columns: readonly Column[], rows: readonly (readonly Content[])[], caption?: string): Html {
    const head = columns.map(
        ({ name, number, bars }) => html`<th scope="col" class="${kindOf(number, bars)}">${name}</th>`,
    );
    const body = rows.map(
        (row) =>
            html`<tr>${row.map((each, i) =>
                i === 0
                    ? html`<th scope="row">${each}</th>`
                    : html`<td class="${kindOf(columns[i]?.number, columns[i]?.bars)}">${each}</td>`,
            )}</tr>
`,
    );
    return html`<div class="scroll"><table>${
        caption === undefined ? undefined : html`<caption>${caption}</caption>`
    }<thead><tr>${head}</tr></thead><tbody>
${body}</tbody></table></div>`;
}

/** A bar as long as a share of its cell. */
export function bar(share: number): Html {
    const width = (100 * Math.min(1, Math.max(0, share))).toFixed(1);
    return html`<svg class="bar" aria-hidden="true" viewBox="0 0 100 6" preserveAspectRatio="none"><rect class="track" width="100" height="6"/><rect width="${width}" height="6"/></svg>`;
}

/** What folds out when asked for. */
export function folded(summary: Content, body: Content): Html {
    return html`<details><summary>${summary}</summary>${body}</details>`;
}
