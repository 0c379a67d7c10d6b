"""The changelog has an entry for the version of the package, and CITATION.cff is valid and names the paper."""

import datetime
import re

import yaml

from lagem import __version__
from source_files import ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
SECTIONS = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
PAPER = CITATION["preferred-citation"]
ALLOWED = {"cff-version", "message", "type", "title", "abstract", "license", "authors", "preferred-citation"}


def test_the_newest_release_of_the_changelog_is_the_version_of_the_package():
    version, day = re.findall(r"^## \[(\d.*)\] - (.*)$", CHANGELOG, flags=re.MULTILINE)[0]
    assert version == __version__
    assert datetime.date.fromisoformat(day).isoformat() == day


def test_the_sections_of_each_version_are_in_the_order_of_keep_a_changelog():
    for part in CHANGELOG.split("\n## ")[1:]:
        found = re.findall(r"^### (.*)$", part, flags=re.MULTILINE)
        assert found == [name for name in SECTIONS if name in found], part.splitlines()[0]


def test_no_entry_of_the_changelog_repeats_another():
    starts = re.findall(r"^- (.{40})", CHANGELOG, flags=re.MULTILINE)
    assert len(starts) > 100 and [start for start in starts if starts.count(start) > 1] == []


def test_the_citation_has_the_required_keys_and_only_keys_of_the_format():
    assert CITATION["cff-version"] == "1.2.0"
    assert {"cff-version", "message", "title", "authors"} <= CITATION.keys() <= ALLOWED
    assert {"type", "title", "authors"} <= PAPER.keys()
    assert all(author.keys() == {"name"} for author in CITATION["authors"])
    assert all(author.keys() == {"given-names", "family-names"} for author in PAPER["authors"])


def test_the_cited_paper_is_that_of_the_readme():
    readme = " ".join((ROOT / "README.md").read_text().split())
    authors = " and ".join(f"{author['given-names']} {author['family-names']}" for author in PAPER["authors"])
    assert f"by {authors}: *{PAPER['title']}* ({PAPER['year']})" in readme
    assert PAPER["url"] in readme and PAPER["doi"].removeprefix("10.48550/arXiv.") in PAPER["url"]


def test_the_licence_of_the_citation_is_that_of_the_package():
    licence = re.search(r"^license = (.*)$", (ROOT / "setup.cfg").read_text(), flags=re.MULTILINE)
    assert licence and licence[1] == CITATION["license"]
