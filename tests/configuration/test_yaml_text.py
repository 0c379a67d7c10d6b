"""YAML is checked before it is parsed: aliases, nesting, size, keys."""

import pytest

from lagem.configuration.yaml_text import (
    DEEPEST,
    LONGEST_PLAIN,
    MOST_BYTES,
    MOST_INTERPOLATED,
    MOST_NODES,
    check_yaml,
    read_yaml,
)

BOMB = "".join(
    f"{name}: &{name} [{','.join([content] * 9)}]\n"
    for name, content in zip("abcdefgh", ["x", *(f"*{name}" for name in "abcdefg")], strict=True)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, f"line 4: more than {MOST_NODES} values, counted after expanding aliases"),
        (f"- &base {{k: [{'1,' * 999}]}}\n" + "- {<<: *base}\n" * 9, "line 5: more than"),
        ("- 1\n" * MOST_NODES, f"more than {MOST_NODES} values"),
        ("[" * (DEEPEST + 1), f"line 1: nested more than {DEEPEST} levels deep"),
        ("a: &a [1, *a]", "line 1: the alias *a stands for a node that contains it"),
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' was already given in line 1"),
        ("a: {b: 1,\n'b': 2}", "line 2: the key 'b' was already given in line 1"),
        ("- &name a: 1\n  *name : 2", "line 2: the key 'a' was already given in line 1"),
        ("a: " + "1:" * LONGEST_PLAIN + "1", f"line 1: a value of more than {LONGEST_PLAIN} characters without quotes"),
        ("a:\n- '" + "${b}" * MOST_INTERPOLATED + "'", "line 2: values with ${…} have more than"),
        ("#" * (MOST_BYTES + 1), f"is longer than {MOST_BYTES}"),
    ],
)
def test_what_would_hang_or_lose_a_value_is_refused_by_its_line(text, reason):
    with pytest.raises(ValueError) as refused:
        check_yaml(text, "x.yaml")
    assert reason in str(refused.value) and str(refused.value).startswith("x.yaml: ")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a {k: 1}\nb: {<<: *a, k: 2}\nc: *a\n",
        "a: &a {k: 1}\nb: &b {l: 1}\nc:\n  <<: *a\n  <<: *b\n",
        "a: {x: 1}\nb: {x: 1}\n",
        "- {x: 1}\n- {x: 1}\n",
        "a: a\nb: a\n",
        "? [1, 2]\n: x\n? [1, 2]\n: y\n",
        "1.5",
        f"a: '{'1' * 3000}'\n",
        "",
        "*undefined",
        "a: [",
    ],
)
def test_what_is_ordinary_or_no_yaml_passes(text):
    check_yaml(text, "x.yaml")


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path):
    path = tmp_path / "x.yaml"
    for encoding in ("utf-8", "utf-8-sig"):
        path.write_text("name: Körper\n", encoding=encoding)
        assert read_yaml(path, dict) == {"name": "Körper"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: [", "not valid YAML"),
        (b"- a", "holds a list, but a dict is needed"),
        ("a: ö".encode("latin-1"), "not text in UTF-8"),
        ("a: 1".encode("utf-16"), "not text in UTF-8"),
        (b"a: 2001-99-99", "not valid YAML"),
        (b"a: 1\na: 2", "was already given in line 1"),
        (b"a" * (MOST_BYTES + 1), "is longer than"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(content, reason, tmp_path):
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(ValueError, match="x.yaml: ") as refused:
        read_yaml(tmp_path / "x.yaml", dict)
    assert reason in str(refused.value)
