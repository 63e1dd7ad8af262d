import pytest

from steps.core.visible import QUOTED, quoted, shortened, spelt, text, uncoloured

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


def test_markup_is_text_and_quotes_cannot_end_an_attribute():
    assert text('<b class="x">&\'') == "&lt;b class=&quot;x&quot;&gt;&amp;&#x27;"


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("a\x00b", r"a\x00b"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\u202eevil", r"\u202eevil"),
        ("\u2066x\u2069", r"\u2066x\u2069"),
        ("a\u200bb", r"a\u200bb"),
        ("\ud83d", r"\ud83d"),
        ("\u2028", r"\u2028"),
        ("\U000e0041", r"\U000e0041"),
        ("\r", r"\x0d"),
    ],
)
def test_what_shows_nothing_or_turns_text_round_is_spelt_out(hidden, shown):
    assert spelt(hidden) == shown


@pytest.mark.parametrize("plain", ["two\nlines\tand", "\u05e9\u05dc\u05d5\u05dd", FAMILY, "\u0645\u06cc\u200c\u062e"])
def test_other_scripts_line_breaks_and_joined_emoji_stay_as_they_are(plain):
    assert spelt(plain) == plain


def test_what_is_long_is_cut_and_says_by_how_much():
    assert shortened("x" * 12, 10) == "xxxxxxxxxx\u2026 (2 more characters)"
    assert shortened("x" * 10, 10) == "x" * 10


def test_a_quotation_keeps_its_direction_of_writing_to_itself_and_is_short():
    assert quoted("\u05e9") == "<bdi>\u201c\u05e9\u201d</bdi>"
    assert len(quoted("x" * 5000)) < QUOTED + 60


def test_entities_are_never_cut_in_half():
    assert text("&&&&", 2) == "&amp;&amp;\u2026 (2 more characters)"


def test_a_terminals_colours_are_taken_out_of_a_log():
    assert uncoloured("\x1b[36m(EngineCore pid=91)\x1b[0;0m ERROR") == "(EngineCore pid=91) ERROR"
