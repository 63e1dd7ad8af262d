import io
from dataclasses import replace
from pathlib import Path

from steps.core.run import Node
from tests.stubs.runs import attempt, done, promoted, resolved, rolled_back, run
from workflows.follow import following, news

GOLDEN = Path(__file__).parents[1] / "goldens" / "follow.txt"
RETRIED = (attempt(0, 75, "Transient: S3 answered 503"), attempt(1, None))


def states_of(whole):
    """A run as the engine tells it: node by node, attempt by attempt."""
    nodes = [replace(n, phase="Pending", attempts=(), outputs={}) for n in whole.nodes]
    yield replace(whole, nodes=tuple(nodes))
    for i, node in enumerate(whole.nodes):
        for a in range(len(node.attempts)):
            running = replace(node.attempts[a], phase="Running", finished=None, exit_code=None, message="")
            nodes[i] = replace(node, phase="Running", attempts=(*node.attempts[:a], running))
            yield replace(whole, nodes=tuple(nodes))
            nodes[i] = replace(node, phase="Running", attempts=node.attempts[: a + 1])
            yield replace(whole, nodes=tuple(nodes))
        nodes[i] = node
        yield replace(whole, nodes=tuple(nodes))


def test_a_run_is_told_line_by_line(update_goldens):
    stream = io.StringIO()
    with following(stream) as follower:
        for state in states_of(rolled_back()):
            follower.update(state)
    if update_goldens:
        GOLDEN.write_text(stream.getvalue())
    assert stream.getvalue() == GOLDEN.read_text()


def test_nothing_is_told_twice():
    lines = [line for before, after in pairs(states_of(rolled_back())) for line in news(before, after)]
    assert lines == news(None, rolled_back())
    assert len(lines) == len(set(lines))


def pairs(states):
    before = None
    for state in states:
        yield before, state
        before = state


def test_progress_alone_is_no_news():
    mirror = Node(name="mirror", phase="Running", attempts=(attempt(0, None),), progress="1/10")
    assert news(run(mirror), run(replace(mirror, progress="5/10"))) == []


def test_an_attempt_that_will_be_repeated_tells_its_sentence_before_the_next_begins():
    before = run(Node(name="mirror", phase="Running", attempts=(attempt(0, None),)))
    after = run(Node(name="mirror", phase="Running", attempts=RETRIED))
    assert news(before, after) == [
        "mirror: failed after 2.0 s, exit 75: Transient: S3 answered 503",
        "mirror: running, attempt 2",
    ]


def test_a_run_that_waits_says_for_whom_once():
    waiting = run(phase="Pending", message="waits for promote-x")
    assert news(None, waiting)[1:] == ["promote-20261122-030405-ab12: waits for promote-x"]
    assert news(waiting, waiting) == []


def test_a_node_that_never_ran_says_so_and_why_when_that_is_an_error():
    assert news(run(), run(Node(name="promote", phase="Omitted", message="x"))) == ["promote: omitted"]
    broken = run(Node(name="promote", phase="Error", message="there is no output y"))
    assert news(run(), broken) == ["promote: error: there is no output y"]


def test_what_keeps_a_pod_from_starting_is_told_once_for_each_reason():
    def waiting(message):
        return run(
            Node(name="mirror", phase="Running", attempts=(replace(attempt(0, None, message), phase="Pending"),))
        )

    stream = io.StringIO()
    with following(stream, run()) as follower:
        for message in ("", "ErrImagePull: no such image", "ImagePullBackOff: later", "ErrImagePull: no such image"):
            follower.update(waiting(message))
        follower.update(run(Node(name="mirror", phase="Running", attempts=(attempt(0, None),))))
    assert stream.getvalue().splitlines() == [
        "mirror: waits: ErrImagePull: no such image",
        "mirror: waits: ImagePullBackOff: later",
        "mirror: running",
    ]


def test_a_continued_run_tells_only_what_is_new():
    known = run(resolved(), Node(name="mirror", phase="Failed", attempts=RETRIED[:1]))
    again = run(resolved(), Node(name="mirror", phase="Running", attempts=RETRIED))
    stream = io.StringIO()
    with following(stream, known) as follower:
        follower.update(again)
        follower.note("stopping")
    assert stream.getvalue() == "mirror: running, attempt 2\nstopping\n"


def test_a_rollback_by_hand_is_headed_by_its_commit():
    by_hand = run(done("checksum"), revision="", commit="f" * 40)
    assert news(None, by_hand)[0] == f"promote-20261122-030405-ab12: org/chat {'f' * 40} to chat"


def test_a_terminal_gets_a_picture():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    with following(stream) as follower:
        follower.update(promoted())
        follower.note("stopping")
    assert "preflight" in stream.getvalue()
    assert "stopping" in stream.getvalue()


def test_of_a_step_that_is_done_several_times_each_run_is_told_and_its_end():
    shares = [done(f"mirror({n}:{n + 1}-of-2)", at=1.0, seconds=2.0 + n) for n in range(2)]
    begun = [replace(s, phase="Running", attempts=(attempt(0, None),)) for s in shares]
    before = run(resolved(), Node(name="mirror", phase="Running"), *begun)
    after = run(resolved(), Node(name="mirror", phase="Succeeded"), *shares)
    assert news(run(resolved(), Node(name="mirror")), before) == [f"{s.name}: running" for s in shares]
    assert news(before, after) == [
        "mirror: succeeded",
        "mirror(0:1-of-2): succeeded after 2.0 s",
        "mirror(1:2-of-2): succeeded after 3.0 s",
    ]
