"""The `__init__.py` of a package exports what its `__all__` lists, and nothing else."""

import ast
import importlib

import pytest

from source_files import is_within, module_files, run_on_import


def exported_names(source: str) -> set[str]:
    """Return the public names that an `__init__.py` defines or imports from the package."""
    names = set()
    tree = ast.parse(source)
    for node in [*tree.body, *run_on_import(tree)]:
        if isinstance(node, ast.ImportFrom) and (node.level or is_within(node.module or "", ["lagem"])):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return {name for name in names if not name.startswith("_")}


def export_complaints(module: str, source: str, promised: list[str], found: set[str]) -> list[str]:
    """Return the differences between an `__init__.py` and its `__all__`.

    `promised` are the names in `__all__`; `found` are those of them that can be imported.
    """
    unlisted = sorted(exported_names(source) - set(promised))
    absent = sorted(set(promised) - found)
    return [f"{module} exports {name}, which its __all__ does not list" for name in unlisted] + [
        f"{module} lists {name} in __all__, but has no such name" for name in absent
    ]


def test_packages_export_what_their_all_lists():
    complaints = []
    for module, path in module_files():
        if path.name == "__init__.py":
            package = importlib.import_module(module)
            promised = getattr(package, "__all__", [])
            found = {name for name in promised if hasattr(package, name)}
            complaints += export_complaints(module, path.read_text(), promised, found)
    assert complaints == []


@pytest.mark.parametrize(
    "source",
    [
        "from lagem.models.a import A, B",
        "from .a import B\nA = 1",
        "from lagem.models.a import A as B\nA: int = 1",
        "class A: ...\ndef B(): ...",
    ],
)
def test_export_that_all_does_not_list_is_found(source):
    assert export_complaints("lagem.models", source, ["A"], {"A"}) == [
        "lagem.models exports B, which its __all__ does not list"
    ]


def test_promised_name_that_is_not_there_is_found():
    source = "from pathlib import Path\nfrom lagem.models.a import A\n_hidden = Path()"
    assert export_complaints("lagem.models", source, ["A"], {"A"}) == []
    assert export_complaints("lagem.models", source, ["A", "B"], {"A"}) == [
        "lagem.models lists B in __all__, but has no such name"
    ]
