import unicodedata
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from steps.core import words
from steps.core.account import Surroundings, draw_up
from steps.core.page import render
from steps.core.record import Record
from steps.core.visible import spelt
from tests.stubs.accounts import ACCOUNTS
from tests.stubs.runs import NAMES, NEW, OLD, failed, on_exit, promoted, resolved, rolled_back, run

AROUND = Surroundings(record=Record(live=OLD.release_id, refused=(NEW.release_id,)), names=NAMES, url="http://e:1")
SCRIPT = "<script>alert('&')</script>"
VOID = {"meta", "br"}


class Checker(HTMLParser):
    """Collects what a strict policy would block, and elements that are not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.bad, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("script", "link", "img", "iframe") or any(
            k.startswith("on") or k in ("src", "href") for k, _ in attrs
        ):
            self.bad.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(account):
    checker = Checker()
    checker.feed(render(account))
    checker.close()
    assert checker.open == []
    assert checker.bad == []
    return " ".join(" ".join(checker.text).split())


def test_the_page_tells_what_happened_what_serves_and_what_to_do():
    text = parsed(draw_up(rolled_back(), AROUND))
    assert "rolled back" in text
    assert "pod-1 answered 'banana banana'" in text
    assert "what served before (org/chat at ffffffffffff) serves at http://e:1 again" in text
    assert "python -m workflows.allow --deployment chat --release ab12ab12ab12" in text
    assert "smoke, attempt 2 exit 16" in text


def test_the_page_says_where_the_rollback_target_is_refused():
    here = replace(AROUND, record=Record(live=NEW.release_id, previous=OLD.release_id, refused=(OLD.release_id,)))
    assert "rollback target org/chat at ffffffffffff, refused" in parsed(draw_up(promoted(), here))


@pytest.mark.parametrize("outcome", ["nothing", "removed", "completed"])
def test_the_page_is_whole_whatever_happened(outcome):
    parsed(draw_up(rolled_back(outcome), AROUND))
    parsed(draw_up(run(), Surroundings()))


def test_what_a_step_or_a_model_said_is_text_and_never_markup():
    bad = run(
        resolved(),
        failed("smoke", 16, SCRIPT),
        on_exit(failed("rollback", 17, SCRIPT)),
        model=SCRIPT,
        deployment=SCRIPT,
    )
    account = replace(draw_up(bad, AROUND), evidence={SCRIPT: [SCRIPT, {"text": SCRIPT}]})
    assert parsed(account).count(SCRIPT) >= 5


def test_evidence_of_any_shape_is_shown():
    evidence = {"result": "pass", "pods": [{"uid": "pod-1", "answer": None, "done": True, "seconds": 0.25}]}
    text = parsed(replace(draw_up(promoted(), AROUND), evidence=evidence))
    for word in ("The smoke test", "pass", "pod-1", "none", "yes", "0.25"):
        assert word in text


def test_a_note_stands_at_the_top():
    account = replace(draw_up(promoted(), AROUND), noticed=("pod chat-1: it makes 3.0 tokens a second",))
    assert '<p class="note">pod chat-1: it makes 3.0 tokens a second</p></header>' in render(account)


@pytest.mark.parametrize("how", ACCOUNTS)
def test_the_page_begins_with_the_verdict_then_what_serves_then_why_and_what_to_do(how):
    account = ACCOUNTS[how]
    text = parsed(account)
    verdict, now = spelt(words.verdict(account)), text.index("Serves now")
    assert text.index(verdict) < now
    rest = [text.index(word, now) for word in ("Why", "Do next") if word in text[now:]]
    assert rest == sorted(rest)
    assert len(rest) >= (how not in ("promoted", "live", "no server is ready", "nothing is known"))


@pytest.mark.parametrize(
    ("how", "tone", "health"),
    [
        ("promoted", "good", "good"),
        ("wrong weights", "warn", "good"),
        ("nothing serves", "bad", "bad"),
        ("no server is ready", "bad", "bad"),
        ("rollback failed", "bad", "warn"),
        ("nothing is known", "warn", "warn"),
    ],
)
def test_the_colours_tell_whether_clients_have_an_answer(how, tone, health):
    page = render(ACCOUNTS[how])
    assert f'<header class="{tone}">' in page
    assert f'<dd class="now {health}">' in page


def test_what_nobody_has_seen_answer_is_not_green():
    page = render(replace(ACCOUNTS["promoted"], answers=None))
    assert '<header class="warn">' in page
    assert '<dd class="now warn">' in page


def test_nothing_that_a_model_said_is_markup_hidden_or_endless():
    page = render(ACCOUNTS["hostile"])
    parsed(ACCOUNTS["hostile"])
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in page.replace("\n", ""))
    assert "\\u202eevil\\u202c" in page
    assert "\\ud83d" in page
    assert len(page.encode()) < 60_000
    assert "A" * 1500 not in page


@pytest.mark.parametrize("how", ACCOUNTS)
def test_the_page_holds_no_script_no_address_to_fetch_and_can_be_written(how):
    parsed(ACCOUNTS[how])
    page = render(ACCOUNTS[how])
    assert page.encode()
    assert "prefers-color-scheme:dark" in page
    assert "@media print" in page
    assert 'name="viewport" content="width=device-width' in page


def test_the_style_is_inline_and_fetches_nothing():
    page = render(draw_up(promoted(), AROUND))
    assert "url(" not in page
    assert "@import" not in page
