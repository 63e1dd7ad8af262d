"""The report of a run as one HTML page: no script and no link, since Argo shows artifacts under a strict policy.

Who is woken by a run opens this first: so at the top stands what happened, what serves now and what to do.
"""

from collections.abc import Iterable
from string import Template

from steps.core import page_evidence, page_log
from steps.core.account import Account, Line, iso
from steps.core.amounts import seconds
from steps.core.outcome import Outcome
from steps.core.page_style import STYLE
from steps.core.visible import text
from steps.core.words import about, advice, headline, serves, verdict

TONES: dict[Outcome, str] = {
    "promoted": "good",
    "live": "good",
    "refused": "warn",
    "failed": "warn",
    "rolled-back": "warn",
    "rollback-failed": "bad",
}
GRAVITY = ("good", "warn", "bad")
PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark"><title>$title</title><style>$style</style></head><body><main>
<header class="$tone"><p class="eyebrow">$deployment &middot; <span class="word">$headline</span> &middot; $at</p>
<h1>$verdict</h1><dl><dt>Serves now</dt><dd class="now $health">$serves</dd>$why$advice</dl>$notes</header>
$evidence$log<section><h2>Steps</h2><table><tr class="head"><th>step</th><th>result</th><th></th>
<th class="num">time</th></tr>$lines</table></section>
<section><h2>Facts</h2><dl>$facts</dl></section>
<footer>run <span class="mono">$run</span></footer></main></body></html>
""")


def render(account: Account) -> str:
    """Every value is escaped: sentences quote what the Hub, a store or a model said."""
    health = _health(account)
    return PAGE.substitute(
        title=text(f"{headline(account)}: {account.deployment} ({about(account)})"),
        style=STYLE,
        tone=max(TONES[account.outcome], health, key=GRAVITY.index),
        deployment=text(account.deployment or "no deployment"),
        headline=text(headline(account)),
        verdict=text(verdict(account)),
        why=_why(account),
        health=health,
        serves=text(serves(account)),
        advice=_advice(advice(account)),
        notes="".join(f'<p class="note">{text(said)}</p>' for said in account.noticed),
        evidence=page_evidence.section(account.evidence),
        log=page_log.section(account),
        lines=_lines(account.lines),
        facts=_pairs(_facts(account)),
        run=text(account.run),
        at=text(iso(account.at)),
    )


def _health(account: Account) -> str:
    """A colour for what serves now: green only where somebody has seen that it answers."""
    if not account.record_known or account.outcome == "rollback-failed":
        return "warn"
    if account.live is None or account.answers is False:
        return "bad"
    return "good" if account.answers else "warn"


def _facts(account: Account) -> Iterable[tuple[str, str]]:
    yield "endpoint", account.url or "none"
    if release := account.release:
        yield "model", release.model or "unknown"
        yield "commit", release.commit or "unknown"
        yield "release", release.release_id
    refused = ", refused" if account.previous_refused else ""
    yield "rollback target", f"{account.previous}{refused}" if account.previous else "none"
    yield "outage", _unknown(account) if account.outage_seconds is None else _span(account.outage_seconds)
    if account.startup_seconds is not None:
        yield "start-up", seconds(account.startup_seconds)
    if account.server_log:
        yield "log of its model server", account.server_log_uri or account.server_log
    yield "started", iso(account.started)
    yield "took", seconds(account.at - account.started)


def _unknown(account: Account) -> str:
    return "not over" if account.outcome == "rollback-failed" else "not known"


def _span(amount: float) -> str:
    return seconds(amount) if amount else "none"


def _why(account: Account) -> str:
    if not account.failure:
        return ""
    step = f"<strong>{text(account.failed_step)}</strong>: " if account.failed_step else ""
    return f"<dt>Why</dt><dd>{step}{text(account.failure)}</dd>"


def _advice(items: tuple[str, ...]) -> str:
    if not items:
        return ""
    told = [_command(item) for item in items]
    done = told[0] if len(told) == 1 else f"<ol>{''.join(f'<li>{item}</li>' for item in told)}</ol>"
    return f"<dt>Do next</dt><dd>{done}</dd>"


def _command(said: str) -> str:
    """What follows the colon of an advice is to be typed."""
    words, colon, typed = said.partition(": ")
    return f"{text(words)}:<br><code>{text(typed)}</code>" if colon else text(words)


def _lines(lines: tuple[Line, ...]) -> str:
    longest = max((line.seconds or 0.0 for line in lines), default=0.0) or 1.0
    return "".join(_line(line, 100 * (line.seconds or 0.0) / longest) for line in lines)


def _line(line: Line, percent: float) -> str:
    tone, word = ("good", "done") if line.exit_code == 0 else ("bad", f"exit {line.exit_code}")
    if line.exit_code is None:
        tone, word = "warn", "lost"
    time = "" if line.seconds is None else seconds(line.seconds)
    name = line.step if line.attempt == 0 else f"{line.step}, attempt {line.attempt + 1}"
    said = f'<tr><td class="said" colspan="4">{text(line.message)}</td></tr>' if line.message else ""
    return (
        f'<tr class="{tone}"><td>{text(name)}</td><td class="word">{word}</td>'
        f'<td class="bar"><i style="width:{percent:.0f}%"></i></td><td class="num">{time}</td></tr>{said}'
    )


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in pairs)
