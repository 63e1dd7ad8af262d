"""What a model server said last, on the page: the log that was kept of it, or what the smoke test saw of it."""

import shlex
from collections.abc import Iterator

from steps.contracts import DEPLOY
from steps.core import tested
from steps.core.account import Account
from steps.core.visible import text, uncoloured

LINES = 40
"""Of a log that was kept: an exception of vLLM's engine with its trace needs about so many."""
LONGEST = 400
"""Characters of a line."""


def tail(log: bytes) -> tuple[str, ...]:
    """The last lines of a log, empty ones left out."""
    lines = (uncoloured(line).rstrip() for line in log.decode(errors="replace").splitlines())
    return tuple(line for line in lines if line)[-LINES:]


def section(account: Account) -> str:
    """Open where the server died, since it says why; folded where it answered wrongly. Empty where nothing is known."""
    died = _last_lines(account)
    lines = account.server_said or died
    if not lines and not account.server_log:
        return ""
    opened = died or account.failed_step == DEPLOY.name
    where = "".join(f"<p>{said}</p>" for said in _whereabouts(account))
    block = _block(lines, " open" if opened else "") if lines else ""
    return f"<section><h2>What its model server said last</h2>{block}{where}</section>"


def _block(lines: tuple[str, ...], opened: str) -> str:
    said = "\n".join(text(uncoloured(line), LONGEST) for line in lines)
    how_many = f"the last {len(lines)} lines" if len(lines) > 1 else "the last line"
    return f"<details{opened}><summary>{how_many} of its log</summary><pre>{said}</pre></details>"


def _last_lines(account: Account) -> tuple[str, ...]:
    """Of the first server that died while it was tested."""
    known = tested.read(account.evidence)
    return next((pod.last_lines for pod in known.pods if pod.last_lines), ()) if known else ()


def _whereabouts(account: Account) -> Iterator[str]:
    """On one machine the store has an address and keys of its own, which no command of others knows."""
    uri = account.server_log_uri or account.server_log
    if not uri:
        return
    yield f"All that was kept of it: <code>{text(uri)}</code>"
    if account.server_log_uri and not account.flag:
        yield f"To print it, with the store's keys: <code>{text(f'aws s3 cp {shlex.quote(uri)} -')}</code>"
