"""The commands in the documents work: every line of a bash block names targets, verbs, options and files that exist."""

import re
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from lagem.cli import main, parse_tool
from source_files import ROOT

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "experiments/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "notebook").glob("*.md")),
]
TRAINER_VERBS = ("fit", "validate", "test", "predict")
OTHER_PROGRAMS = ("bash", "git", "cd", "source", "export", "apt", "grep", "head", "sudo", "wandb", "sbatch", "srun")
INDEX = ROOT / "docs" / "index.md"
QUESTIONS = {  # what users of this and of similar programs ask, and the section of docs/ that answers
    "Where is the script that turns my meshes into training data?": "faq.md#how-do-i-make-training-data-from-my-meshes",
    "My meshes are open. Can I use them?": "faq.md#my-meshes-are-open-inside-out-or-full-of-holes-can-i-use-them",
    "What becomes of inner surfaces and double shells?": "faq.md#what-becomes-of-inner-surfaces-and-double-shells",
    "Are my inside and outside labels right?": "faq.md#how-do-i-know-that-the-labels-are-right",
    "Which scale do shapes have, and my results?": "faq.md#which-frame-do-shapes-have-the-unit-sphere-or-a-box",
    "Can I train on the data of 3DShape2VecSet or LaGeM?": "importing.md#layouts",
    "Where is the training code of the diffusion models?": "training.md#from-latents-to-new-shapes",
    "How do I fine-tune on my own meshes?": "training.md#fine-tuning-the-weights-in-the-package",
    "How many steps does it take, and to which loss?": "faq.md#how-many-steps-do-i-need-and-which-loss-should-i-expect",
    "My training from scratch does not converge. Why?": "faq.md#my-training-from-scratch-does-not-get-better",
    "The loss is NaN. What now?": "faq.md#the-loss-became-nan-or-infinite",
    "How do I resume, and why is my checkpoint refused?": "faq.md#my-checkpoint-or-weights-do-not-fit",
    "How do I encode, edit and decode a mesh?": "python.md#shapes-to-latents-and-back",
    "Thin parts are lost. Which resolution do I need?": "faq.md#why-does-my-surface-have-holes",
    "How do I print a result, without debris?": "faq.md#small-pieces-float-around-my-shape-and-i-want-to-print-it",
    "Which Chamfer distance and F-score are these?": "faq.md#my-scores-differ-from-those-in-a-paper",
    "Which reference shapes do MMD, COV and FID use?": "faq.md#which-shapes-do-mmd-cov-and-1-nna-compare-with",
    "Do I have to compile flash-attn or torch-cluster?": "faq.md#do-i-need-flash-attn-diso-or-other-cuda-extensions",
    "How much memory does it need?": "faq.md#how-much-memory-and-disk-do-i-need",
    "Does it run on a Mac?": "faq.md#does-it-run-on-a-mac",
}
PROMISED = (("make", "demo"), ("make", "test"), ("lagem", "fit"), ("lagem", "prepare"), ("lagem", "reconstruct"))


def commands_in(markdown: str) -> list[list[str]]:
    """Return the commands in the bash blocks of a document, as lists of words.

    Comments are left out, and so are variables that are set in front of a command. A path of a program is shortened to
    the program's name.
    """
    commands = []
    for block in re.findall(r"^```bash\n(.*?)^```", markdown, flags=re.MULTILINE | re.DOTALL):
        for line in re.split(r"\n| && ", block.replace("\\\n", " ")):
            words = shlex.split(line, comments=True)
            while words and re.match(r"\w+=", words[0]):
                words.pop(0)
            if words[:3] == ["python", "-m", "lagem"]:
                words[:3] = ["lagem"]
            if words:
                commands.append([Path(words[0]).name, *words[1:]])
    return commands


def make_complaints(words: list[str], makefile: str) -> list[str]:
    """Return the targets and variables of a make command that the Makefile does not have."""
    goals = [word for word in words if "=" not in word]
    variables = [word.split("=")[0] for word in words if "=" in word]
    unknown = [goal for goal in goals if not re.search(rf"^{re.escape(goal)}:", makefile, flags=re.MULTILINE)]
    unset = [name for name in variables if not re.search(rf"^{re.escape(name)} \?=", makefile, flags=re.MULTILINE)]
    return unknown + unset


def option_complaints(words: list[str], help_text: str) -> list[str]:
    """Return the options of a command that its help text does not list."""
    options = [word.split("=")[0] for word in words if word.startswith("--")]
    return [option for option in options if not re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", help_text)]


def missing_files(words: list[str], root: Path) -> list[str]:
    """Return the files of this repository that a command names but that do not exist."""
    named = [word for word in words if word.startswith(("experiments/", "benchmarks/"))]
    named += [after for word, after in zip(words, words[1:], strict=False) if word in ("--config", "-c")]
    named += [word.split("=", 1)[1] for word in words if word.startswith("--config=")]
    return [name for name in named if not (root / name).exists()]


def missing_benchmarks(words: list[str], root: Path) -> list[str]:
    """Return the benchmarks that a command `make benchmark NAME=...` names but that do not exist."""
    names = [word.removeprefix("NAME=") for word in words if word.startswith("NAME=")]
    return [name for name in names if not (root / "benchmarks" / f"{name}.py").exists()]


def dead_links(path: Path, root: Path) -> list[str]:
    """Return the relative links of a document that lead to no file of this repository."""
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())
    inside = [link for link in links if "://" not in link]
    return [
        link
        for link in inside
        if not (path.parent / link).exists() or not (path.parent / link).resolve().is_relative_to(root.resolve())
    ]


def unlabelled_blocks(markdown: str) -> int:
    """Return the number of code blocks that name no language; the tests would overlook commands in them."""
    return sum(fence.strip() == "```" for fence in re.findall(r"^```.*$", markdown, flags=re.MULTILINE)[::2])


def anchors(markdown: str) -> set[str]:
    """Return the anchors of the headings of a document, as the site and code hosts name them."""
    headings = re.findall(r"^#+ (.*)$", markdown, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def clicks_to(section: str, index: Path) -> int | None:
    """Return how many clicks lead from the text of `index` to a section of the same folder: 1, 2, or None if neither.

    A page shows its table of contents, so a click on a page and a click on one of its sections are two.
    """
    if section.partition("#")[2] not in {"", *anchors((index.parent / section.partition("#")[0]).read_text())}:
        return None
    links = re.findall(r"\]\(([^)\s]+)\)", index.read_text())
    if section in links:
        return 1
    pages = {link.partition("#")[0] for link in links if link.endswith(".md") or ".md#" in link}
    if section.partition("#")[0] in pages:
        return 2
    beyond = ((index.parent / page).read_text() for page in pages)
    return 2 if any(f"]({section})" in text for text in beyond) else None


def outcome(arguments: list[str], capsys) -> tuple[int | str | None, str, str]:
    """Run `lagem` with these arguments; return its exit code, its output and its errors."""
    try:
        main(arguments)
        code = 0
    except SystemExit as stop:
        code = stop.code
    return code, *capsys.readouterr()


@pytest.fixture
def complaints_of(capsys, monkeypatch, tmp_path) -> Callable[[tuple[str, ...]], list[str]]:
    """Return a function that returns what is wrong with a command, given its words."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("LAGEM_DATA", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["lagem"])  # Lightning warns if it differs from the arguments of main()
    makefile = (ROOT / "Makefile").read_text()

    @cache
    def help_text(verb: str) -> str | None:
        code, printed, _ = outcome([verb, "--help"], capsys)
        return None if code else printed

    @cache
    def complaints(command: tuple[str, ...]) -> list[str]:
        program, *arguments = command
        if program == "make":
            return make_complaints(arguments, makefile) + missing_benchmarks(arguments, ROOT)
        if missing := missing_files(arguments, ROOT):
            return missing
        if program != "lagem":
            return [] if program in OTHER_PROGRAMS else [f"{program} is no program that a document may ask for"]
        if "--" in arguments:  # another command follows, which a job runs
            end = arguments.index("--")
            return complaints(("lagem", *arguments[:end])) + complaints(("lagem", *arguments[end + 1 :]))
        if arguments[0] in TRAINER_VERBS:
            code, _, error = outcome([*arguments, "--print_config"], capsys)
            return [error] if code else []
        if arguments[0] in ("describe", "doctor"):  # they take the options of a fit
            parsed = parse_tool(arguments)[1]
            return complaints(("lagem", "fit", "--config", str(parsed.config), *parsed.settings))
        text = help_text(arguments[0])
        return [f"lagem {arguments[0]} --help fails"] if text is None else option_complaints(arguments[1:], text)

    return complaints


def test_commands_of_the_documents_are_real(complaints_of):
    wrong = {}
    for path in DOCUMENTS:
        for words in commands_in(path.read_text()):
            if complaints := complaints_of(tuple(words)):
                wrong[f"{path.relative_to(ROOT)}: {shlex.join(words)}"] = complaints
    assert wrong == {}


def test_every_block_of_the_documents_names_its_language():
    found = {str(path.relative_to(ROOT)): unlabelled_blocks(path.read_text()) for path in DOCUMENTS}
    assert {name: count for name, count in found.items() if count} == {}


def test_links_of_the_documents_lead_to_files():
    found = {str(path.relative_to(ROOT)): dead_links(path, ROOT) for path in DOCUMENTS}
    assert {name: links for name, links in found.items() if links} == {}


@pytest.mark.parametrize("question", QUESTIONS)
def test_questions_are_answered_within_two_clicks_of_the_index(question):
    assert clicks_to(QUESTIONS[question], INDEX) is not None


@pytest.mark.parametrize(
    ("section", "clicks"), [("b.md", 1), ("b.md#in-b", 2), ("c.md#in-c", 2), ("c.md", None), ("b.md#no", None)]
)
def test_clicks_to_a_section_are_counted(section, clicks, tmp_path):
    (tmp_path / "index.md").write_text("[b](b.md)")
    (tmp_path / "b.md").write_text("# B\n## In b\n[c](c.md#in-c)")
    (tmp_path / "c.md").write_text("## In c\n")
    assert clicks_to(section, tmp_path / "index.md") == clicks


@pytest.mark.parametrize("promised", PROMISED, ids=" ".join)
def test_readme_shows_the_promised_command(promised):
    assert promised in [tuple(words[:2]) for words in commands_in((ROOT / "README.md").read_text())]


@pytest.mark.parametrize(
    "command",
    [
        "make tests",
        "make benchmark NAME=no_benchmark",
        "curl x",
        "sbatch experiments/no.sbatch",
        "lagem no-verb",
        "lagem prepare a --no-option",
        "lagem fit --config experiments/autoencoder/toy.yaml --trainer.max_step 3",
        "lagem submit --dry-run -- fit --config experiments/no.yaml",
        "lagem submit --local -- prepare a --no-option",
    ],
)
def test_a_wrong_command_is_found(command, complaints_of):
    assert complaints_of(tuple(command.split()))


def test_commands_are_found_in_bash_blocks_only():
    block = "A=1 lagem fit \\\n  --config x.yaml  # slow\n\n.venv/bin/lagem a && make b"
    markdown = f"`make no`\n```bash\n{block}\n```\n```\nmake no\n```\n"
    assert commands_in(markdown) == [["lagem", "fit", "--config", "x.yaml"], ["lagem", "a"], ["make", "b"]]


def test_a_dead_link_is_found(tmp_path):
    (tmp_path / "a.md").write_text("[a](a.md#b) [b](b.md) ![c](c.png) [out](../a.md) [net](https://example.com/a.md)")
    assert dead_links(tmp_path / "a.md", tmp_path) == ["b.md", "c.png", "../a.md"]


def test_an_unlabelled_block_is_found():
    assert unlabelled_blocks("```bash\na\n```\n```\nb\n```\n") == 1


def test_unknown_target_and_variable_are_found():
    makefile = "SEED ?= 0\ndemo: setup ## Demo\n"
    assert make_complaints(["demo", "dem", "SEED=1", "SED=1"], makefile) == ["dem", "SED"]


def test_unknown_option_is_found():
    assert option_complaints(["a.ply", "--output", "o", "--out=1"], "usage: --output DIR") == ["--out"]


def test_absent_file_is_found(tmp_path):
    (tmp_path / "there.yaml").touch()
    words = ["--config", "there.yaml", "--config=gone.yaml", "--config", "lost.yaml", "experiments/no.yaml"]
    assert sorted(missing_files(words, tmp_path)) == ["experiments/no.yaml", "gone.yaml", "lost.yaml"]
