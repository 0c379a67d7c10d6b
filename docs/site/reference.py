"""Generates the reference pages (commands, keys of experiments, public names) from the code."""

import argparse
import importlib
import inspect
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import docstring_parser

from lagem.cli import TRAINING_VERBS, tool_modules
from lagem.configuration.tool_parser import ToolParser

# Packages with an `__all__`, and modules beyond them whose names users need: see docs/python.md and the YAML reference.
PACKAGES = (
    "lagem",
    "lagem.modules",
    "lagem.data_modules",
    "lagem.callbacks",
    "lagem.models",
    "lagem.diffusion",
    "lagem.latents",
    "lagem.embeddings",
    "lagem.completion",
    "lagem.prepared",
    "lagem.preparation",
    "lagem.pretrained",
)
MODULES = (
    "lagem.samples",
    "lagem.generation.settings",
    "lagem.weights.autoencoder",
    "lagem.weights.named",
    "lagem.models.initialisation",
    "lagem.geometry.frame",
)
CONFIGURED = {
    "Models": ("lagem.modules", "model"),
    "Data": ("lagem.data_modules", "data"),
    "Callbacks": ("lagem.callbacks", "trainer.callbacks"),
}
# Values of arguments that are themselves mappings of settings.
NESTED = ("lagem.levels.LevelSpec", "lagem.storage.file_cache.FileCache")
MARKUP = re.compile(r"[\\*_<>|\[\]$#~]")


def write_reference(folder: Path) -> None:
    """Write all pages to a folder and remove its other Markdown files; unchanged pages keep their modification time."""
    pages = {"commands": commands_page(), "yaml": yaml_page(), "python": python_page()}
    pages |= {f"commands/{verb}": command_page(verb) for verb in tool_modules()}
    pages |= {f"python/{name}": package_page(name) for name in PACKAGES + MODULES}
    paths = {folder / f"{name}.md": text for name, text in pages.items()}
    for path in set(folder.rglob("*.md")) - set(paths):
        path.unlink()
    for path, text in paths.items():
        if not path.is_file() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def commands_page() -> str:
    """Return the page with the table of all commands of `lagem`."""
    lines = ["# Commands", "", "| command | what it does |", "|---|---|"]
    for verb, module in sorted(tool_modules().items()):
        lines.append(f"| [`lagem {verb}`](commands/{verb}.md) | {escaped(importlib.import_module(module).SUMMARY)} |")
    lines += [f"| `lagem {verb}` | {summary} |" for verb, summary in TRAINING_VERBS.items()]
    lines += [
        "",
        "`fit`, `validate`, `test` and `predict` use LightningCLI: they take an experiment (`--config FILE`), and",
        "any key of it as an option, such as `--trainer.max_steps 200`. [Keys of experiments](yaml.md) lists those of",
        "lagem's classes, and `lagem fit --help` those of Lightning.",
        "",
        *toctree(f"commands/{verb}" for verb in sorted(tool_modules())),
    ]
    return "\n".join(lines) + "\n"


def command_page(verb: str) -> str:
    """Return the page of one command, which lists the arguments of its parser."""
    command = importlib.import_module(tool_modules()[verb])
    parser = ToolParser(prog=f"lagem {verb}", formatter_class=partial(argparse.HelpFormatter, width=84))
    command.add_arguments(parser)
    lines = [f"# lagem {verb}", "", sentence(command.SUMMARY), "", "```text", parser.format_usage().strip(), "```", ""]
    lines += [f":::{{program}} lagem {verb}", ":::", ""]
    for action in parser._actions:
        if action.help not in (None, argparse.SUPPRESS) and "--help" not in action.option_strings:
            text = parser._get_formatter()._expand_help(action)
            lines += [f":::{{option}} {named(action)}", sentence(text), ":::", ""]
    return "\n".join(lines)


def named(action: argparse.Action) -> str:
    """Return an argument as its usage shows it: `--count N`, or `MESH ...` for one without dashes."""
    values = argparse.HelpFormatter("")._format_args(action, action.metavar or action.dest.upper())
    return ", ".join(f"{option} {values}".strip() for option in action.option_strings) or values


def yaml_page() -> str:
    """Return the page of the keys of experiments, with the arguments of the classes that experiments can name."""
    lines = [
        "# Keys of experiments",
        "",
        "An experiment names classes by `class_path`, and gives their arguments under `init_args`. On the command",
        "line, a key is an option: `--model.init_args.width 256`. Keys of `trainer` and of Lightning's callbacks and",
        "loggers are in Lightning's documentation.",
        "",
    ]
    for heading, (package_name, key) in CONFIGURED.items():
        package = importlib.import_module(package_name)
        lines += [f"## {heading}", "", f"The key `{key}`.", ""]
        for name in package.__all__:
            if inspect.isclass(getattr(package, name)):
                lines += class_section(getattr(package, name))
    lines += ["## Nested settings", ""]
    for name in NESTED:
        module, _, short = name.rpartition(".")
        lines += class_section(getattr(importlib.import_module(module), short))
    return "\n".join(lines)


def class_section(kind: type) -> list[str]:
    """Return the section of one class: its summary, and its arguments with their types and defaults."""
    texts = [text for text in (kind.__doc__, kind.__init__.__doc__) if text]
    about = {each.arg_name: each.description for text in texts for each in docstring_parser.parse(text).params}
    lines = [f"### {kind.__name__}", "", escaped(docstring_parser.parse(texts[0]).short_description or ""), ""]
    for parameter in inspect.signature(kind).parameters.values():
        type_ = inspect.formatannotation(parameter.annotation).replace("typing.", "").replace("collections.abc.", "")
        type_ = re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", type_)
        required = parameter.default is parameter.empty
        default = "required" if required else f"default `{in_yaml(parameter.default)}`"
        text = escaped(" ".join((about.get(parameter.name) or "").split()))
        lines += [f"`{parameter.name}` (`{type_}`, {default})", f": {text}", ""]
    return lines


def in_yaml(value: Any) -> str:
    """Return a default as YAML writes it."""
    words = {None: "null", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    return str(list(value)) if isinstance(value, tuple) else str(value)


def python_page() -> str:
    """Return the page that lists the documented packages and modules with their public names."""
    lines = [
        "# Public names",
        "",
        "[Python](../python.md) shows how to use them.",
        "",
        "| from | import |",
        "|---|---|",
    ]
    for name in PACKAGES + MODULES:
        names = ", ".join(f"`{each}`" for each in public_names(importlib.import_module(name)))
        lines.append(f"| [`{name}`](python/{name}.md) | {names} |")
    return "\n".join([*lines, "", *toctree(f"python/{name}" for name in PACKAGES + MODULES)]) + "\n"


def package_page(name: str) -> str:
    """Return the page of one package or module, with the public names that users import from it."""
    module = importlib.import_module(name)
    lines = [f"# {name}", "", "```{eval-rst}", f".. automodule:: {name}", "   :no-members:", ""]
    lines += [f".. currentmodule:: {name}", ""]
    for each in public_names(module):
        found = getattr(module, each)
        directive = "autoclass" if inspect.isclass(found) else "autofunction" if callable(found) else "autodata"
        lines += [f".. {directive}:: {each}", ""]
    return "\n".join([*lines, "```", ""])


def public_names(module: ModuleType) -> list[str]:
    """Return the names in the `__all__` of a module.

    If the module has no `__all__`, return the names of the public classes and functions that it defines, in the order
    of their definitions.
    """
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", None) == module.__name__
        and (inspect.isclass(value) or inspect.isfunction(value))
    ]


def toctree(pages: Iterable[str]) -> list[str]:
    """Return a hidden table of contents."""
    return ["```{toctree}", ":hidden:", "", *pages, "```"]


def sentence(text: str) -> str:
    """Return a help text as a sentence of Markdown."""
    text = " ".join(text.split())
    first = text.split(" ", 1)[0]
    text = text if first.startswith("`") or not first.isalpha() else text[:1].upper() + text[1:]
    return escaped(text.rstrip(".")) + "."


def escaped(text: str) -> str:
    """Escape Markdown outside backquotes, and bars everywhere."""
    parts = text.split("`")
    parts[::2] = [MARKUP.sub(r"\\\g<0>", part) for part in parts[::2]]
    parts[1::2] = [part.replace("|", r"\|") for part in parts[1::2]]
    return "`".join(parts)
