import { createHash } from "node:crypto";
import { Html, html } from "./html.js";
import { type Section, sectionHtml } from "./section.js";
import { style } from "./style.js";

export interface Page {
    title: string;
    /** Above the title and below it. */
    kind: string;
    facts: string;
    sections: readonly Section[];
    /** At the end. */
    note: string;
}

/** The whole document. It holds no script and loads nothing, and says so to the browser: only its own style counts. */
export function page({ title, kind, facts, sections, note }: Page): string {
    const hash = createHash("sha256").update(style).digest("base64");
    const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`;
    const { source } = html`<!doctype html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${new Html(style)}</style>
</head>
<body>
<header><p class="eyebrow">${kind}</p><h1>${title}</h1><p class="eyebrow">${facts}</p>
<nav aria-label="Parts of the report"><ul>${sections.map(({ id, short }) => html`<li><a href="#${id}">${short}</a></li>`)}</ul></nav></header>
<main>
${sections.map(sectionHtml)}
</main>
<footer>${note}</footer>
</body>
</html>
`;
    return source;
}
