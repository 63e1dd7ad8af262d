import io
from dataclasses import replace

import pytest
from rich.console import Console

from steps.core.run import Node
from tests.stubs.runs import START, attempt, resolved, rolled_back, run
from workflows.picture import Picture, Rate, draw, parsed

MIB = 2**20
MIRROR = Node(
    name="mirror",
    phase="Running",
    attempts=(attempt(0, 75, "Transient: S3 answered 503"), attempt(1, None, at=10)),
    progress=f"{44 * MIB}/{100 * MIB}",
)


def drawn(renderable):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def row(text, step):
    [line] = [line for line in text.splitlines() if f" {step} " in f"{line} "]
    return " ".join(line.split())


def test_a_transfer_shows_attempt_percent_bytes_rate_and_time():
    text = drawn(draw(run(resolved(), MIRROR), START + 40, {"mirror": 8.4 * MIB}))
    assert row(text, "mirror")[2:] == "mirror 30 s attempt 2 44 % 44.0 MiB of 100.0 MiB 8.4 MiB/s"
    assert row(text, "resolve") == "✓ resolve 1.2 s"


def test_the_title_names_run_model_deployment_and_time():
    text = drawn(draw(run(resolved()), START + 75, {}))
    assert text.splitlines()[0].split() == [
        *("promote-20261122-030405-ab12", "org/chat", "main", "→", "chat", "1", "min", "15", "s")
    ]


def test_a_failed_step_shows_its_sentence():
    text = drawn(draw(rolled_back(), START + 90, {}))
    assert "✗ smoke" in text
    assert "Failed: pod-1 answered 'banana banana'" in text
    assert row(text, "promote") == "- promote omitted"


def test_a_step_that_will_be_repeated_shows_why():
    waiting = Node(name="mirror", phase="Running", attempts=MIRROR.attempts[:1], message="Backoff for 15 s")
    assert "Transient: S3 answered 503" in drawn(draw(run(waiting), START + 9, {}))


def test_a_pod_that_cannot_start_says_why():
    pending = replace(attempt(0, None, "Unschedulable: 0/1 nodes are available"), phase="Pending")
    node = Node(name="mirror", phase="Running", attempts=(pending,))
    assert row(drawn(draw(run(node), START + 9, {})), "mirror").endswith("Unschedulable: 0/1 nodes are available")


def test_a_run_that_waits_says_for_whom():
    assert "waits for promote-x" in drawn(draw(run(phase="Pending", message="waits for promote-x"), START, {}))


def test_a_picture_before_the_first_state_is_empty_and_notes_come_last():
    picture = Picture(lambda: START)
    assert drawn(picture.draw()).strip() == ""
    picture.update(run(resolved()))
    picture.note("stopping")
    assert drawn(picture.draw()).rstrip().splitlines()[-1].strip() == "stopping"


def test_the_rate_is_that_of_the_last_seconds():
    rate = Rate()
    for second, done in enumerate([0, *range(0, 3000, 100)]):
        rate.note(second, done)
    assert rate.a_second() == pytest.approx(100)


def test_a_new_attempt_starts_its_rate_anew():
    rate = Rate()
    rate.note(0, 0)
    assert rate.a_second() is None
    rate.note(1, 500)
    rate.note(2, 100)
    assert rate.a_second() is None
    rate.note(3, 200)
    assert rate.a_second() == 100


def test_the_picture_measures_the_rate_by_its_clock():
    times = iter([START, START + 2.0, START + 2.0])
    picture = Picture(lambda: next(times))
    for done in (0, 20 * MIB):
        picture.update(
            run(Node(name="mirror", phase="Running", attempts=(attempt(0, None),), progress=f"{done}/{100 * MIB}"))
        )
    assert "10.0 MiB/s" in drawn(picture.draw())


@pytest.mark.parametrize("text", ["", "5", "a/b", "5/0", "-1/5", "1/2/3"])
def test_what_is_no_progress_is_not_shown(text):
    assert parsed(text) is None


def test_a_step_that_is_done_several_times_shows_how_far_all_of_them_are():
    whole = Node(name="mirror", phase="Running", progress=f"{50 * MIB}/{100 * MIB}")
    share = replace(MIRROR, name="mirror(1:2-of-3)")
    text = drawn(draw(run(resolved(), whole, share), START + 40, {}))
    assert row(text, "mirror")[2:] == "mirror 50 % 50.0 MiB of 100.0 MiB"
    assert row(text, "mirror(1:2-of-3)")[2:] == "mirror(1:2-of-3) 30 s attempt 2 44 % 44.0 MiB of 100.0 MiB"
    failed = drawn(draw(run(resolved(), replace(whole, phase="Failed")), START + 40, {}))
    assert row(failed, "mirror") == "✗ mirror failed"
