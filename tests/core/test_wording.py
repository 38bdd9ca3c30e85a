"""The words of messages: amounts with their nouns, cures for unknown names, many mistakes."""

import pytest

from qcgen.core.wording import Problems, cure_of, part_of, several


@pytest.mark.parametrize(("amount", "words"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (12_345, "12,345 files")])
def test_an_amount_agrees_with_its_noun(amount: int, words: str) -> None:
    assert several(amount, "file") == words


def test_a_plural_of_its_own_is_given_and_a_verb_agrees_with_the_part_not_with_the_whole() -> None:
    assert [several(n, "person", "people") for n in (1, 2)] == ["1 person", "2 people"]
    assert [part_of(n, of, "picture", "is", "are") for n, of in ((1, 8), (1, 1), (0, 8), (2, 8))] == [
        "1 of 8 pictures is",
        "1 of 1 picture is",
        "0 of 8 pictures are",
        "2 of 8 pictures are",
    ]


def test_an_unknown_name_is_cured_by_the_near_one_or_by_all_there_are() -> None:
    known = ("blur", "noise")
    assert cure_of("BLURR", known, beside=", or a file") == "Did you mean 'blur'?"
    assert cure_of("qqq", known, beside=", or a file") == "Cure: one of blur, noise, or a file."
    assert cure_of("qqq", known, limit=1) == "Cure: one of blur and 1 more."
    assert cure_of("qqq", ()) == "Cure: there is none yet."


def test_of_one_kind_of_mistake_twenty_are_worded_and_no_more_are_asked_for_their_words() -> None:
    asked: list[int] = []

    def word(number: int) -> str:
        asked.append(number)
        return f"row {number}"

    problems = Problems()
    for number in range(1_025):
        problems.add("rows", lambda number=number: word(number))
    problems.add("columns", "no column sku")
    assert len(asked) == 20
    assert problems.lines()[19:] == ["row 19", "... and 1,005 more: rows.", "no column sku"]
