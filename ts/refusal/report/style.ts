/** Colours of the light page. Sets are told apart by shape too, and by lightness in any colour vision. */
const light = `--page:#f7f7f5;--card:#fff;--ink:#1c2430;--soft:#5a6573;--axis:#a9b2bd;--grid:#e7eaee;--rule:#dde1e6;
--target:#c4491a;--preserve:#1f6bb5;--neutral:#1b8a6b;--baseline:#9aa3af;--steered:#6d3fb0;--chosen:#e0571b;--band:#f6e3d6;
--warn:#fdf1e3;--warn-edge:#d9822b;
--shade-0:#f3eec6;--shade-1:#e0ecba;--shade-2:#c3e2bd;--shade-3:#96d0c0;--shade-4:#67bac4;--shade-5:#439fc4;--shade-6:#3080b6;
--shade-7:#2b61a3;--shade-8:#273f88;--shade-9:#1c2360;`;

const dark = `--page:#14171b;--card:#1c2026;--ink:#e7eaee;--soft:#a0aab6;--axis:#5c6672;--grid:#2b3138;--rule:#313841;
--target:#f0874f;--preserve:#6cb0f0;--neutral:#4fc7a3;--baseline:#76808c;--steered:#b794f0;--chosen:#ff8a4c;--band:#45301f;
--warn:#33281a;--warn-edge:#d9822b;
--shade-0:#262d3d;--shade-1:#253a5a;--shade-2:#264f78;--shade-3:#2a678d;--shade-4:#2e8198;--shade-5:#459b9b;--shade-6:#6eb594;
--shade-7:#a0cc8c;--shade-8:#d3de90;--shade-9:#faf3b5;`;

const shades = Array.from({ length: 10 }, (_, i) => `.shade-${i}{fill:var(--shade-${i})}`).join("");

/** Everything of the page that is no content. Its plots name the variables above. Printed pages are light. */
export const style = `:root{color-scheme:light dark;${light}}
@media screen and (prefers-color-scheme:dark){:root{${dark}}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0;overflow-wrap:anywhere;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",sans-serif}
main,body>header,body>footer{max-width:1120px;margin:0 auto;padding:0 24px}
body>header{padding-top:44px}
h1,h2,h3,h4,p,figure,dl,dd,ul{margin:0}
h1{font-size:2rem;line-height:1.2;font-weight:650;letter-spacing:-.015em}
h2{font-size:1.3rem;line-height:1.3;font-weight:620;letter-spacing:-.01em;margin-bottom:14px}
h3{font-size:.95rem;font-weight:620;margin:0 0 8px}
dl+h3{margin-top:26px}
h4{font-size:.82rem;font-weight:600;color:var(--soft);margin-bottom:6px}
section{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:28px;margin:22px 0;scroll-margin-top:12px}
section>p,section .lead{max-width:76ch}
section>p+p,.lead+p{margin-top:12px}
.eyebrow{color:var(--soft);font-size:.9rem;overflow-wrap:anywhere}
.lead{font-size:1.12rem;line-height:1.6}
.soft{color:var(--soft)}
.caption,.missing,footer,table caption{color:var(--soft);font-size:.86rem;line-height:1.5;max-width:84ch}
.caption{margin-top:12px}
nav ul{list-style:none;padding:0;margin-top:18px;display:flex;flex-wrap:wrap;gap:6px 20px;font-size:.92rem}
a{color:inherit;text-decoration-color:var(--axis);text-underline-offset:3px}
a:hover{text-decoration-color:currentColor}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));gap:14px;margin-bottom:24px}
.tile{display:flex;flex-direction:column;border-top:3px solid var(--axis);padding:10px 0 0}
.tile.main{border-color:var(--steered)}
.tile .name{font-size:.86rem;color:var(--soft)}
.tile .value{font-size:2.05rem;line-height:1.25;font-weight:620;letter-spacing:-.02em;font-variant-numeric:tabular-nums}
.tile .note{font-size:.86rem;color:var(--soft)}
.tile .note b{color:var(--ink);font-weight:600;white-space:nowrap}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;width:100%;font-size:.9rem;line-height:1.4}
table caption{text-align:left;caption-side:bottom;padding-top:10px}
th,td{padding:6px 14px 6px 0;text-align:left;vertical-align:baseline;border-bottom:1px solid var(--rule)}
th:last-child,td:last-child{padding-right:0}
thead th{color:var(--soft);font-weight:500;font-size:.82rem;white-space:nowrap}
tbody th{font-weight:600}
td.words{white-space:nowrap}
td.number,th.number,thead th,.tile .value{overflow-wrap:normal}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
#results tbody tr:nth-child(3n+1)>*,#results tbody tr:nth-child(3n+2)>*{border-bottom-color:transparent}
#results tbody tr:nth-child(3n)>*{color:var(--soft);padding-bottom:12px}
#results tbody tr:nth-child(3n+1)>*{padding-top:12px}
svg.bar{width:100%;min-width:90px;max-width:200px;height:7px;fill:var(--steered);display:block}
#results tbody tr:nth-child(3n+1) svg.bar{fill:var(--baseline)}
#times svg.bar{fill:var(--soft)}
svg.bar .track{fill:var(--grid)}
figcaption{font-size:.92rem;font-weight:600;margin-bottom:8px}
figure{min-width:0}
figure .caption{margin-top:8px}
svg.plot{display:block}
.panels{margin-top:18px;display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,310px),1fr));gap:28px;align-items:start}
.panels.wide{grid-template-columns:repeat(auto-fill,minmax(min(100%,430px),1fr))}
.panels svg.plot{width:100%;max-width:500px;height:auto}
.maps{display:flex;flex-wrap:wrap;gap:26px 30px;align-items:flex-start}
.maps figure{max-width:100%}
.maps figcaption{max-width:320px}
.legend{list-style:none;padding:0;margin:14px 0 18px;display:flex;flex-wrap:wrap;gap:6px 22px;font-size:.86rem;color:var(--soft);align-items:center}
.legend li{display:flex;align-items:center;gap:7px}
.legend svg{height:15px;flex:none}
.legend .whole{white-space:nowrap}
.ramp{display:inline-flex}.ramp svg{height:12px;width:22px}
${shades}
.ring{fill:none;stroke:var(--chosen);stroke-width:2.5}
.front,.steered{fill:var(--steered)}.baseline{fill:var(--baseline)}
.dominated{fill:none;stroke:var(--soft);stroke-width:1.5}.stroked{stroke:var(--soft);stroke-width:2.5;fill:none}
.unsteered{fill:var(--ink)}.full{fill:var(--soft)}.hollow{fill:none;stroke:var(--soft);stroke-width:1.5}
.line{fill:none;stroke-width:2}.line.fit{stroke:var(--soft)}.line.held-out{stroke:var(--steered)}.line.other{stroke:var(--axis);stroke-width:1.2}
circle.fit{fill:var(--soft)}path.held-out:not(.line){fill:var(--steered)}.band{fill:var(--band)}
svg .target{fill:var(--target)}svg .preserve{fill:var(--preserve)}svg .neutral{fill:var(--neutral)}
span.set{font-size:.8rem;font-weight:600;padding-left:14px;position:relative}
span.set::before{content:"";position:absolute;left:0;top:.32em;width:9px;height:9px;background:currentColor}
span.set.target{color:var(--target)}span.set.preserve{color:var(--preserve)}span.set.neutral{color:var(--neutral)}
span.set.target::before{border-radius:50%}
span.set.neutral::before{clip-path:polygon(50% 0,100% 100%,0 100%)}
.warning{border-left:3px solid var(--warn-edge);background:var(--warn);padding:12px 16px;margin:16px 0}
.warning ul{padding-left:20px}
#choice .scroll{margin-top:16px;max-width:760px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,320px),1fr));gap:16px 32px}
.pair>*{min-width:0}
.example{border-top:1px solid var(--rule);padding:18px 0}
.example:first-of-type{border-top:0;padding-top:0}
.example header{margin-bottom:10px}
.id{font:.78rem ui-monospace,"DejaVu Sans Mono",monospace;color:var(--soft);overflow-wrap:anywhere}
.question{font-weight:600}
.question,.text{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate}
.answer{border-left:3px solid var(--baseline);padding-left:14px}
.answer+.answer{border-color:var(--steered)}
.text{font-size:.95rem}
.label{font-weight:400;font-variant-numeric:tabular-nums}
details{margin-top:14px}
summary{cursor:pointer;color:var(--soft);font-size:.9rem}
details[open]>summary{margin-bottom:12px}
dl>div{display:grid;grid-template-columns:minmax(100px,34%) 1fr;gap:12px;padding:5px 0;border-bottom:1px solid var(--rule);font-size:.9rem}
dt{color:var(--soft);overflow-wrap:anywhere}dd{overflow-wrap:anywhere;min-width:0}
dd details{margin-top:0}
code,pre{font:.86em/1.5 ui-monospace,"DejaVu Sans Mono",monospace}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}
body>footer{padding-bottom:48px}
@media (max-width:560px){body{font-size:15px}main,body>header,body>footer{padding:0 14px}body>header{padding-top:28px}
section{padding:20px 16px;border-radius:8px}h1{font-size:1.6rem}.tiles{grid-template-columns:1fr 1fr}.tile .value{font-size:1.55rem}
th,td{padding-right:10px}.bars{display:none}.ramp svg{width:15px}dl>div{grid-template-columns:1fr;gap:0}}
@media print{body{background:none;font-size:10.5pt}section{border:0;padding:0;margin:24px 0}nav{display:none}
figure,.example,tr,.tile{break-inside:avoid}h2{break-after:avoid}details::details-content{content-visibility:visible}}
`;
