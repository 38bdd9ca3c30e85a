"""How numbers are written for people."""

import pytest

from qcgen.report import words


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 2, "0"),
        (100, 2, "100"),
        (123, 2, "123"),
        (99.9, 2, "100"),
        (-250, 2, "-250"),
        (999.5, 3, "1,000"),
        (999.4, 3, "999"),
        (9999, 3, "9,999"),
        (50.04, 2, "50"),
        (0.123456, 3, "0.123"),
        (0.00012, 2, "0.00012"),
        (0.000012, 2, "1.2e-05"),
    ],
)
def test_digits_before_the_point_are_all_written_out(value: float, digits: int, text: str) -> None:
    assert words.number(value, digits) == text


def test_no_number_from_a_thousandth_to_a_million_has_an_exponent() -> None:
    values = [
        sign * mantissa * 10.0**power
        for power in range(-3, 6)
        for mantissa in (1, 1.5, 9.95, 9.9996)
        for sign in (1, -1)
    ]
    assert not [one for one in values for digits in (1, 2, 3, 4) if "e" in words.number(one, digits)]
