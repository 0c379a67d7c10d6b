"""Descriptions: the size of the JSON is bounded, and the error for a wrong field names the file and the field."""

from dataclasses import dataclass
from typing import Literal

import pytest

from lagem.storage.checked.description import Description, parse_description, read_description, read_json

ABOUT = Description(
    "a.json", {"n": 3, "t": "x", "f": 1.5, "l": ["a"], "o": {"n": "no"}, "null": None}, remedy="copy it"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1]", r"holds \[1\], but must hold a JSON object"),
        ('{"a": 1, "b": 2, "a": 3}', "the field 'a' is given twice"),
        ('{"a": ' + "[" * 100_000, "nested more than 32 levels deep"),
        ('{"a": ' + "[" * 40 + "]" * 40 + "}", "nested more than 32 levels deep"),
        ('{"a": ' + "9" * 5000 + "}", "not JSON in UTF-8, or damaged"),
        (b'{"a": "\xff"}', "not JSON in UTF-8, or damaged"),
        ("", "not JSON in UTF-8, or damaged"),
    ],
)
def test_other_texts_than_one_plain_object_are_refused_by_file(text, expected):
    with pytest.raises(ValueError, match=f"^a.json: .*{expected}") as refusal:
        parse_description(text, "a.json", remedy="copy it again")
    assert "\n" not in str(refusal.value) and str(refusal.value).endswith("copy it again.")


@pytest.mark.parametrize("read", [read_description, read_json])
def test_a_file_is_read_no_further_than_its_bound(tmp_path, read):
    with (tmp_path / "long.json").open("wb") as file:
        file.truncate(2**40)  # a hole, which takes no space
    with pytest.raises(ValueError, match="long.json: its JSON is longer than the limit of 16,777,216 bytes"):
        read(tmp_path / "long.json", remedy="copy it again")
    (tmp_path / "short.json").write_text('{"a": "0123456789"}')
    with pytest.raises(ValueError, match="short.json: its JSON is longer than the limit of 10 bytes"):
        read_description(tmp_path / "short.json", remedy="copy it again", at_most=10)


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (lambda: ABOUT.integer("n", at_least=4), "n is 3, but must be an integer from 4 to"),
        (lambda: ABOUT.integer("n", at_most=2), "n is 3, but must be an integer from"),
        (lambda: ABOUT.integer("f"), "f is 1.5, but must be an integer"),
        (lambda: ABOUT.integer("absent"), "absent is missing, but must be an integer"),
        (lambda: ABOUT.number("t"), "t is 'x', but must be a finite number"),
        (lambda: ABOUT.text("n"), "n is 3, but must be a text"),
        (lambda: ABOUT.text("t", choices=("y", "z")), "t is 'x', but must be one of y, z"),
        (lambda: ABOUT.texts("t"), "t is 'x', but must be a list"),
        (lambda: ABOUT.texts("l", length=2), r"l is \['a'\], but must be a list of 2 entries"),
        (lambda: ABOUT.objects("l"), r"l is \['a'\], but must be a list of objects"),
        (lambda: ABOUT.object("l"), r"l is \['a'\], but must be an object"),
        (lambda: ABOUT.object("o").integer("n"), "o.n is 'no', but must be an integer"),
        (lambda: ABOUT.truth("n"), "n is 3, but must be true or false"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_found_and_what_is_expected(read, expected):
    with pytest.raises(ValueError, match=rf"^a.json: {expected}.*; copy it\.$"):
        read()


@pytest.mark.parametrize("number", [float("inf"), float("nan"), 10**400, True, None, "1"])
def test_only_finite_numbers_are_numbers(number):
    with pytest.raises(ValueError, match="^a: n is .*, but must be a finite number"):
        Description("a", {"n": number}, remedy="copy it").number("n")


@dataclass
class Kind:
    name: str
    mode: Literal["fast", "slow"]
    size: float | None = None
    count: int = 7


def test_a_dataclass_takes_defaults_and_ignores_other_fields():
    about = Description("a", {"name": "x", "mode": "slow", "other": []}, remedy="copy it")
    assert about.as_dataclass(Kind) == Kind("x", "slow")
    for values in ({"name": 1}, {"mode": "other"}, {"size": "1"}, {"count": None}, {"count": 10**30}):
        (field,) = values
        with pytest.raises(ValueError, match=f"^a: {field} is "):
            Description("a", {"name": "x", "mode": "slow", **values}, remedy="copy it").as_dataclass(Kind)
