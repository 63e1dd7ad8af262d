import pytest

from steps.core.amounts import plain


@pytest.mark.parametrize(
    ("number", "text"),
    [(15.0, "15"), (0.5, "0.5"), (300.0, "300"), (1234567.0, "1234567"), (0.00001, "0.00001"), (0.0, "0")],
)
def test_a_number_for_a_program_has_every_digit_and_no_exponent(number, text):
    assert plain(number) == text
