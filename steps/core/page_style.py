"""How the report looks, in the page itself since nothing may be fetched: dark and light, on a phone, on paper."""

from string import Template

_LIGHT = """--ink:#1c2430;--dim:#5d6978;--line:#dfe4ea;--paper:#fff;--wash:#f4f6f8;--inset:#f4f6f8;
--good:#1a7f4b;--warn:#8f5400;--bad:#b3261e;--tint-bad:#fdf1f0;--tint-warn:#fdf7ec;color-scheme:light"""
_DARK = """--ink:#e6eaf0;--dim:#9aa6b5;--line:#303945;--paper:#161b22;--wash:#0c1015;--inset:#0e1319;
--good:#3fb97a;--warn:#e0a33a;--bad:#ff7b72;--tint-bad:#2a1718;--tint-warn:#262012;color-scheme:dark"""
STYLE = Template("""
:root{$light}
@media screen and (prefers-color-scheme:dark){:root{$dark}}
*{box-sizing:border-box}
body{margin:0;background:var(--wash);color:var(--ink);
font:16px/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;-webkit-text-size-adjust:100%}
main{max-width:68rem;margin:0 auto;padding:1.5rem 1rem 3rem}
section,header{background:var(--paper);border:1px solid var(--line);
border-radius:10px;padding:1.1rem 1.3rem;margin:0 0 1rem}
header{border-left:8px solid var(--tone)}
.good{--tone:var(--good)}.warn{--tone:var(--warn)}.bad{--tone:var(--bad)}
h1{margin:.1rem 0 .9rem;font-size:1.55rem;line-height:1.25;overflow-wrap:anywhere}
h2{margin:0 0 .7rem;font-size:1.05rem}
h3{margin:1.4rem 0 .5rem;font-size:.95rem}
.eyebrow{margin:0;color:var(--dim)}
.word{color:var(--tone);font-weight:600}
p{margin:.25rem 0;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:minmax(6.5rem,max-content) 1fr;gap:.5rem 1.2rem;margin:0}
dt{color:var(--dim)}
dd{margin:0;overflow-wrap:anywhere;min-width:0}
.now{font-weight:600}
.now::before{content:"";display:inline-block;width:.65em;height:.65em;border-radius:50%;
background:var(--tone);margin-right:.45em}
.note{border-left:3px solid var(--warn);padding:.1rem 0 .1rem .8rem;margin:.8rem 0 0}
.note::before{content:"Note: ";font-weight:600;color:var(--warn)}
ol{margin:0;padding-left:1.3rem}
li{overflow-wrap:anywhere}
li+li{margin-top:.4rem}
code,.mono,pre{font-family:ui-monospace,"SF Mono",Menlo,"DejaVu Sans Mono",monospace;font-size:.86em}
code,.mono{overflow-wrap:anywhere}
code{display:inline-block;background:var(--inset);border:1px solid var(--line);border-radius:5px;
padding:.1rem .45rem;max-width:100%;user-select:all}
pre{margin:.4rem 0 0;padding:.7rem .9rem;background:var(--inset);border:1px solid var(--line);border-radius:6px;
white-space:pre-wrap;overflow-wrap:anywhere}
bdi{contain:paint}
details+details{margin-top:.6rem}
summary{cursor:pointer;overflow-wrap:anywhere}
details[open]>summary{margin-bottom:.4rem}
table{border-collapse:collapse;width:100%;font-size:.92rem}
th{text-align:left;font-weight:600}
thead th,.head th{color:var(--dim);font-size:.8rem;font-weight:400}
th,td{padding:.45rem .9rem .45rem 0;border-top:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
thead th,.head th{border-top:0;padding-top:0}
th[scope],td.word{white-space:nowrap;overflow-wrap:normal}
.cards{table-layout:fixed}
.cards th,.cards td{padding-left:.6rem;padding-right:.6rem}
.cards th:nth-child(1){width:9.5rem;white-space:normal}
.checks th:nth-child(2),.checks td.word{width:8.2rem;white-space:normal}
tr.fail,tr.fail+tr.said{background:var(--tint-bad)}
tr.inconclusive,tr.notice{background:var(--tint-warn)}
tr.said td{border-top:0;padding-top:0;color:var(--ink)}
td.said{border-top:0;padding-top:0;color:var(--dim)}
tr.pass.said td{color:var(--dim)}
th.num,td.num{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;padding-right:0}
td.bar{width:40%;min-width:4rem;padding-top:.85rem}
.bar i{display:block;height:.5rem;border-radius:4px;background:var(--tone);min-width:2px}
dl dl{padding-left:.8rem;border-left:2px solid var(--line)}
dd.wide{grid-column:1/-1}
dd.wide dl{border-left:0;padding-left:0}
.item+.item{margin-top:.8rem;padding-top:.8rem;border-top:1px solid var(--line)}
.scroll{overflow-x:auto}
footer{color:var(--dim);font-size:.85rem;text-align:center;overflow-wrap:anywhere}
@media(max-width:44rem){
body{font-size:15px}
main{padding:.6rem .5rem 2rem}
section,header{padding:.9rem .9rem}
h1{font-size:1.3rem}
dl{grid-template-columns:1fr;gap:0}
dd{margin-bottom:.6rem}
dl dd:last-child{margin-bottom:0}
.cards,.cards tbody,.cards tr,.cards th,.cards td{display:block;width:auto!important}
.cards thead{display:none}
.cards tr{border-top:1px solid var(--line);padding:.5rem .6rem}
.cards th,.cards td{border:0;padding:.1rem 0}
.cards th[scope]{display:inline-block;margin-right:.6rem}
.cards td.word{display:inline-block}
.cards td[data-is]{display:grid;grid-template-columns:5.2rem 1fr;gap:.6rem}
.cards td[data-is]:empty{display:none}
.cards td[data-is]::before{content:attr(data-is);color:var(--dim)}
.cards tr.said{border-top:0;padding-top:0}
.cards tr.led{padding-bottom:.2rem}
th[scope]{white-space:normal}
td.bar,.head th:nth-child(3){display:none}
}
@media print{
body{background:#fff;font-size:10pt}
.cards th:nth-child(1){width:7rem}.checks th:nth-child(2),.checks td.word{width:6.5rem}
main{max-width:none;padding:0}
section,header{border-radius:0;padding:.6rem .8rem}
header,.tone,tr.fail,tr.inconclusive,tr.notice,.bar i,.now::before{print-color-adjust:exact;
-webkit-print-color-adjust:exact}
tr,li,dt,dd{break-inside:avoid}
h2,h3{break-after:avoid}
thead{display:table-header-group}
details::details-content{content-visibility:visible;display:block;block-size:auto}
}
""").substitute(light=_LIGHT, dark=_DARK)
