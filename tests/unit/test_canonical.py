import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steps.core import canonical

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(codec="utf-8")),
    lambda v: st.lists(v) | st.dictionaries(st.text(alphabet=st.characters(codec="utf-8")), v),
    max_leaves=20,
)


def test_the_form_is_the_one_that_the_design_says():
    assert canonical.dump({"b": [1, 2.5, None, True], "a": "caf\u00e9 \u2028", "A": {}}) == (
        '{"A":{},"a":"caf\u00e9 \u2028","b":[1,2.5,null,true]}'.encode()
    )


@given(VALUES)
def test_reading_and_writing_again_gives_the_same_bytes(value):
    assert canonical.dump(json.loads(canonical.dump(value))) == canonical.dump(value)


@given(st.dictionaries(st.text(alphabet="ab", max_size=3), st.integers(), min_size=2))
def test_the_order_in_which_keys_came_does_not_count(value):
    assert canonical.dump(dict(reversed(value.items()))) == canonical.dump(value)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_has_no_word_for_is_refused(number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical.dump([number])


def test_a_digest_is_sha256_of_the_form():
    assert canonical.digest({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()
