from dataclasses import replace
from html.parser import HTMLParser

import pytest

from steps.core.account import Surroundings, draw_up
from steps.core.evidence import Proof
from steps.core.measured import Measured
from steps.core.page import render
from steps.core.record import Record
from steps.core.verdict import Past
from tests.stubs.runs import NAMES, NEW, OLD, failed, on_exit, promoted, resolved, rolled_back, run
from tests.unit.test_verdict import RELEASE, verdict

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
    for word in ("Evidence of the smoke test", "pass", "pod-1", "none", "yes", "0.25"):
        assert word in text


def test_a_real_proof_is_shown_with_its_notices_figures_and_fingerprint():
    past = Past(live=Measured(at=1.0, tokens_per_second=7.0))
    proof = Proof(RELEASE, (verdict(past=past, last_lines=("Traceback", "<b>ValueError</b>")),), past)
    account = replace(draw_up(promoted(), AROUND), evidence=proof.to_json(), noticed=proof.notices)
    text, page = parsed(account), render(account)
    assert "pod chat-1: it makes 3.0 tokens a second, the live release 7.0" in text
    assert '<p class="note">pod chat-1: it makes' in page
    assert '<td class="word warn">notice</td>' in page
    assert "Traceback\n&lt;b&gt;ValueError&lt;/b&gt;" in page
    assert "logprobs -0.2" in text


def test_the_style_is_inline_and_fetches_nothing():
    page = render(draw_up(promoted(), AROUND))
    assert "url(" not in page
    assert "@import" not in page
