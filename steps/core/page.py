"""The report of a run as one HTML page: no script and no link, since Argo shows artifacts under a strict policy."""

from collections.abc import Iterable
from html import escape
from string import Template
from typing import Any

from steps.core.account import Account, Line, iso
from steps.core.amounts import seconds
from steps.core.outcome import Outcome
from steps.core.page_values import shown
from steps.core.words import advice, headline, serves

TONES: dict[Outcome, str] = {
    "promoted": "good",
    "live": "good",
    "refused": "warn",
    "failed": "warn",
    "rolled-back": "warn",
    "rollback-failed": "bad",
}
STYLE = """
:root{--ink:#1c2430;--dim:#5d6978;--line:#dfe4ea;--paper:#fff;--wash:#f4f6f8;--good:#1a7f4b;--warn:#9a5b00;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--dim:#97a3b2;--line:#303945;--paper:#161b22;--wash:#0e1217;
--good:#3fb97a;--warn:#e0a33a;--bad:#ff7b72}}
*{box-sizing:border-box}
body{margin:0;background:var(--wash);color:var(--ink);
font:16px/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem}
section,header{background:var(--paper);border:1px solid var(--line);
border-radius:10px;padding:1.1rem 1.3rem;margin:0 0 1rem}
header{border-left:8px solid var(--tone)}
.good{--tone:var(--good)}.warn{--tone:var(--warn)}.bad{--tone:var(--bad)}
h1{margin:0 0 .3rem;font-size:1.7rem;line-height:1.2;color:var(--tone)}
h1::first-letter{text-transform:uppercase}
h2{margin:0 0 .6rem;font-size:.8rem;letter-spacing:.08em;text-transform:uppercase;color:var(--dim)}
p{margin:.25rem 0;overflow-wrap:anywhere}
.why{border-left:3px solid var(--tone);padding:.1rem 0 .1rem .8rem;margin:.7rem 0}
.note{--tone:var(--warn);border-left:3px solid var(--tone);padding:.1rem 0 .1rem .8rem;margin:.7rem 0}
.note::before{content:"Note: ";font-weight:600;color:var(--tone)}
ol{margin:0;padding-left:1.3rem}
li{overflow-wrap:anywhere}
code,.mono{font-family:ui-monospace,"SF Mono",Menlo,"DejaVu Sans Mono",monospace;font-size:.88em;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;margin:0}
dt{color:var(--dim)}
dd{margin:0;overflow-wrap:anywhere}
.item+.item{margin-top:.8rem;padding-top:.8rem;border-top:1px solid var(--line)}
dl dl{padding-left:.8rem;border-left:2px solid var(--line)}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere}
td .mono{overflow-wrap:normal}
td:last-child .mono{overflow-wrap:anywhere}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.93rem}
th{text-align:left;overflow-wrap:normal;font-weight:600;color:var(--dim);font-size:.8rem}
th,td{padding:.35rem .8rem .35rem 0;border-top:1px solid var(--line);vertical-align:top}
tr:first-child th{border-top:0}
th.num,td.num{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
td.bar{width:50%;min-width:5rem;padding-top:.75rem}
.bar i{display:block;height:.5rem;border-radius:4px;background:var(--tone);min-width:2px}
td:first-child{white-space:nowrap}
dd.wide{grid-column:1/-1;margin:.2rem 0 .6rem}
dd.wide dl{border-left:0;padding-left:0}
td.word,dd.word{white-space:nowrap;color:var(--tone);font-weight:600}
td.said{white-space:normal;color:var(--dim);padding:0 0 .5rem 1rem;border-top:0;overflow-wrap:anywhere}
footer{color:var(--dim);font-size:.85rem;text-align:center}
"""
PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>$title</title><style>$style</style></head><body><main>
<header class="$tone"><h1>$headline</h1>
<p><strong>$deployment</strong> &middot; $subject</p>$why<p>$serves</p>$notes</header>
$advice<section><h2>Facts</h2><dl>$facts</dl></section>
<section><h2>Steps</h2><div class="scroll"><table><tr><th>step</th><th>result</th><th></th>
<th class="num">time</th></tr>$lines</table></div></section>
$evidence<footer>run <span class="mono">$run</span> &middot; $at</footer></main></body></html>
""")


def render(account: Account) -> str:
    """Every value is escaped: sentences quote what the Hub, a store or a model said."""
    subject = str(account.release) if account.release else f"{account.model} {account.revision}".strip()
    return PAGE.substitute(
        title=escape(f"{headline(account)}: {account.deployment}"),
        style=STYLE,
        tone=TONES[account.outcome],
        headline=escape(headline(account)),
        deployment=escape(account.deployment or "no deployment"),
        subject=escape(subject),
        why=_why(account),
        serves=escape(serves(account)),
        notes="".join(f'<p class="note">{escape(said)}</p>' for said in account.noticed),
        advice=_advice(advice(account)),
        facts=_pairs(_facts(account)),
        lines=_lines(account.lines),
        evidence=_evidence(account.evidence),
        run=escape(account.run),
        at=escape(iso(account.at)),
    )


def _facts(account: Account) -> Iterable[tuple[str, str]]:
    yield "endpoint", account.url or "none"
    if release := account.release:
        yield "model", release.model or "unknown"
        yield "commit", release.commit or "unknown"
        yield "release", release.release_id
    yield "serves now", str(account.live) if account.live else "nothing, or unknown"
    refused = ", refused" if account.previous_refused else ""
    yield "rollback target", f"{account.previous}{refused}" if account.previous else "none"
    yield "outage", _unknown(account) if account.outage_seconds is None else _span(account.outage_seconds)
    if account.startup_seconds is not None:
        yield "start-up", seconds(account.startup_seconds)
    if account.server_log:
        yield "log of its model server", account.server_log
    yield "started", iso(account.started)
    yield "took", seconds(account.at - account.started)


def _unknown(account: Account) -> str:
    return "not over" if account.outcome == "rollback-failed" else "not known"


def _span(amount: float) -> str:
    return seconds(amount) if amount else "none"


def _why(account: Account) -> str:
    if not account.failure:
        return ""
    step = f"<strong>{escape(account.failed_step)}</strong>: " if account.failed_step else ""
    return f'<p class="why">{step}{escape(account.failure)}</p>'


def _advice(items: tuple[str, ...]) -> str:
    if not items:
        return ""
    return f"<section><h2>What to do next</h2><ol>{''.join(f'<li>{_command(i)}</li>' for i in items)}</ol></section>"


def _command(text: str) -> str:
    """What follows the colon of an advice is to be typed."""
    words, colon, typed = text.partition(": ")
    return f"{escape(words)}:<br><code>{escape(typed)}</code>" if colon else escape(words)


def _lines(lines: tuple[Line, ...]) -> str:
    longest = max((line.seconds or 0.0 for line in lines), default=0.0) or 1.0
    return "".join(_line(line, 100 * (line.seconds or 0.0) / longest) for line in lines)


def _line(line: Line, percent: float) -> str:
    tone, word = ("good", "done") if line.exit_code == 0 else ("bad", f"exit {line.exit_code}")
    if line.exit_code is None:
        tone, word = "warn", "lost"
    time = "" if line.seconds is None else seconds(line.seconds)
    name = line.step if line.attempt == 0 else f"{line.step}, attempt {line.attempt + 1}"
    said = f'<tr><td class="said" colspan="4">{escape(line.message)}</td></tr>' if line.message else ""
    return (
        f'<tr class="{tone}"><td>{escape(name)}</td><td class="word">{word}</td>'
        f'<td class="bar"><i style="width:{percent:.0f}%"></i></td><td class="num">{time}</td></tr>{said}'
    )


def _evidence(evidence: Any) -> str:
    if not evidence:
        return ""
    return f"<section><h2>Evidence of the smoke test</h2>{shown(_beside_notices(evidence))}</section>"


def _beside_notices(evidence: Any) -> Any:
    """Those stand at the top."""
    return {k: v for k, v in evidence.items() if k != "notices"} if isinstance(evidence, dict) else evidence


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
