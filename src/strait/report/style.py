"""How the page looks: light, dark, narrow and printed, without anything from elsewhere."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--paper:#f6f7f9;--card:#fff;--ink:#1a2230;--soft:#5a6576;
--line:#dfe3ea;--code:#f1f3f7;--link:#2f6fde;--run:#2f6fde;--good:#157f4b;--bad:#c2313b;
--wait:#a86500;--idle:#667286;--child:#7a4fd0;--stripe:#f4f6f9;--good-soft:#e3f4ea;
--bad-soft:#fce8e9;--wait-soft:#fdf1dc;--run-soft:#e6eefc;--idle-soft:#eceff4}
@media(prefers-color-scheme:dark){:root{--paper:#10141b;--card:#181e28;--ink:#e7ebf2;--soft:#9ba7b9;
--line:#2c3543;--code:#10151d;--link:#8ab4ff;--run:#79a8ff;--good:#5ccf8e;--bad:#ff8088;
--wait:#f0b252;--idle:#93a0b4;--child:#b99bff;--stripe:#1c232f;--good-soft:#163324;
--bad-soft:#3c1d22;--wait-soft:#38290f;--run-soft:#1b2b4a;--idle-soft:#262e3b}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);
font:15px/1.5 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main,header,footer{max-width:1080px;margin:0 auto;padding:0 24px}
header{padding-top:32px}
h1{font-size:26px;line-height:1.25;margin:0 12px 0 0;letter-spacing:-.01em;display:inline;
overflow-wrap:anywhere}
h2{font-size:17px;margin:0 0 12px}
a{color:var(--link)}
nav{margin:18px 0 0;display:flex;flex-wrap:wrap;gap:4px 18px;font-size:14px}
.over{color:var(--soft);font-size:13px;margin:0 0 6px;letter-spacing:.02em}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;
margin:18px 0}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(168px,1fr));gap:12px 22px;
margin:20px 0 0;padding:0}
.facts div{min-width:0}
dt{color:var(--soft);font-size:12.5px}
dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
.badge{display:inline-block;padding:1px 10px;border-radius:99px;font-size:13px;font-weight:600;
background:var(--idle-soft);color:var(--idle);white-space:nowrap}
.badge.big{font-size:15px;padding:3px 13px;vertical-align:4px}
.badge.s-completed{background:var(--good-soft);color:var(--good)}
.badge:is(.s-failed,.s-dead-letter,.s-crashed,.s-timed-out,.s-system-failed,.s-compensation-failed,
.s-error){background:var(--bad-soft);color:var(--bad)}
.badge:is(.s-waiting,.s-paused,.s-delayed,.s-undone,.s-compensated,.s-compensating,.s-warn){
background:var(--wait-soft);color:var(--wait)}
.badge:is(.s-executing,.s-running){background:var(--run-soft);color:var(--run)}
.error{border-color:var(--bad);background:var(--bad-soft)}
.error p{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;font-family:ui-monospace,Menlo,
Consolas,monospace;font-size:13.5px}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px}
th{text-align:left;color:var(--soft);font-weight:600;font-size:12.5px}
th,td{padding:6px 14px 6px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
tfoot td{font-weight:600}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.time{color:var(--soft);white-space:nowrap;font-variant-numeric:tabular-nums;font-size:13px}
.msg{overflow-wrap:anywhere;white-space:pre-wrap;min-width:220px}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:12.5px}
code{overflow-wrap:anywhere}
pre{background:var(--code);border:1px solid var(--line);border-radius:8px;padding:10px 12px;
margin:6px 0;overflow:auto;max-height:420px;white-space:pre-wrap;overflow-wrap:anywhere}
summary{cursor:pointer;overflow-wrap:anywhere}
summary:focus-visible,a:focus-visible,pre:focus-visible{outline:2px solid var(--link);
outline-offset:2px;border-radius:4px}
.cut,.note,.sealed{color:var(--soft);font-size:13px}
.note{margin:10px 0 0}
.sealed{font-style:italic}
.none{color:var(--soft);margin:0}
svg{display:block;max-width:100%;height:auto;font-family:inherit}
.gantt{width:100%;min-width:680px}
.grid{stroke:var(--line)}
.tick{fill:var(--soft);font-size:11px}
.lane{fill:var(--ink);font-size:12.5px}
.stripe{fill:var(--card)}.stripe.odd{fill:var(--stripe)}
.gantt .stripe{fill-opacity:.55}
.fold{fill:var(--idle-soft)}
.bar{fill:var(--run)}
.bar.queued{fill:var(--line)}.bar.waiting{fill:var(--wait);opacity:.7}.bar.paused{fill:var(--idle)}
.bar.step{fill:var(--good)}.bar.child{fill:var(--child)}
.bar:is(.s-failed,.s-dead-letter,.s-crashed,.s-timed-out,.s-system-failed){fill:var(--bad)}
.bar:is(.s-running,.s-executing){fill:var(--run)}
.bar:is(.s-skipped,.s-canceled){fill:var(--idle)}
.bar.step.s-waiting{fill:var(--wait)}
.box{fill:var(--card);stroke:var(--line);stroke-width:1.4}
.edge{fill:var(--idle)}
.s-completed .edge{fill:var(--good)}
.node:is(.s-failed,.s-dead-letter,.s-crashed,.s-timed-out,.s-system-failed) .edge{fill:var(--bad)}
.node:is(.s-failed,.s-dead-letter,.s-crashed,.s-timed-out,.s-system-failed) .box{stroke:var(--bad)}
.node:is(.s-waiting,.s-paused,.s-undone) .edge{fill:var(--wait)}
.node:is(.s-running,.s-executing) .edge{fill:var(--run)}
.name{fill:var(--ink);font-size:13px;font-weight:600}
.sub{fill:var(--soft);font-size:11.5px}
.link{fill:none;stroke:var(--idle);stroke-width:1.4;opacity:.75}
.link.loose{stroke-dasharray:4 4}
.tip{fill:var(--idle)}
.keys{display:flex;flex-wrap:wrap;gap:4px 16px;margin:10px 0 0;padding:0;list-style:none;
color:var(--soft);font-size:12.5px}
.keys i{display:inline-block;width:18px;height:9px;border-radius:3px;margin-right:6px}
.keys .queued{background:var(--line)}.keys .waiting{background:var(--wait)}
.keys .executing{background:var(--run)}.keys .step{background:var(--good)}
.keys .child{background:var(--child)}.keys .failed{background:var(--bad)}
footer{color:var(--soft);font-size:13px;padding-bottom:40px}
@media(max-width:620px){main,header,footer{padding-left:14px;padding-right:14px}
section{padding:14px}}
@media print{:root{--paper:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#ccc;--code:#fafafa}
body{font-size:11px}nav{display:none}section{border:0;border-top:1px solid #ccc;border-radius:0;
padding:10px 0;margin:10px 0}main,header,footer{max-width:none;padding:0}
pre{max-height:none}svg,tr,summary{break-inside:avoid}h2{break-after:avoid}.wide{overflow:visible}
.gantt{min-width:0}*{print-color-adjust:exact}}
""".strip()
