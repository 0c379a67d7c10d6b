"""List the files of this repository, and the code in them that runs on import, for the tests of the house rules."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOMES = {"lagem": "src/lagem", "lagem.data_modules": "data_modules", "lagem.callbacks": "callbacks"}
ROOMS = ("src", "data_modules", "callbacks", "experiments", "benchmarks", "docs", "tests", ".ci")


def module_files() -> list[tuple[str, Path]]:
    """Return the module name and the path of every source file, including those in folders outside src/."""
    found = []
    for home, folder in HOMES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found.append((".".join([home, *parts]).removesuffix(".__init__"), path))
    return found


def text_files() -> list[Path]:
    in_rooms = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*")) if "__pycache__" not in path.parts]
    at_top = [path for path in sorted(ROOT.iterdir()) if not path.name.startswith(".") or path.name == ".gitignore"]
    return [path for path in [*at_top, *in_rooms] if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


def run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes that run when the module is imported: not function bodies, and nothing under TYPE_CHECKING."""
    for child in ast.iter_child_nodes(node):
        is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if is_function or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            continue
        yield child
        yield from run_on_import(child)


def is_within(name: str, packages: tuple[str, ...] | list[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
