"""Outside `storage/`, files are written by the functions of `storage.atomic`, so that a kill leaves no partial file.

If a library writes a file, it gets a temporary path from `storage.atomic.replaced`.
"""

import ast

import pytest

from source_files import is_within, module_files

MOVERS = ("os.replace", "os.rename", "os.renames", "shutil.move")
WRITERS = ("torch.save", "save_file", "np.save", "np.savez", "np.savez_compressed", "np.savetxt", "json.dump")
WRITING_METHODS = ("write_text", "write_bytes", "rename")


def mode_of(call: ast.Call) -> str:
    """Return the mode of a call `open(path, mode)` or `path.open(mode)`."""
    place = 1 if isinstance(call.func, ast.Name) else 0
    given = [word.value for word in call.keywords if word.arg == "mode"] + call.args[place : place + 1]
    return ast.literal_eval(given[0]) if given and isinstance(given[0], ast.Constant) else "r"


def write_complaints(module: str, source: str) -> list[str]:
    """Return one complaint for each call that writes or replaces a file without `storage.atomic`."""
    complaints = []
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        name = ast.unparse(call.func)
        method = call.func.attr if isinstance(call.func, ast.Attribute) else None
        if name == "torch.save" and ast.unparse(call.args[1]) == "(content := io.BytesIO())":
            continue  # to memory
        opens = name == "open" or method == "open"
        if name in MOVERS + WRITERS or method in WRITING_METHODS or (opens and set(mode_of(call)) & set("wax+")):
            complaints.append(f"{module}:{call.lineno} calls {name}; use storage.atomic")
    return complaints


def test_files_are_written_through_storage_atomic():
    outside = [(module, path) for module, path in module_files() if not is_within(module, ["lagem.storage"])]
    assert [complaint for module, path in outside for complaint in write_complaints(module, path.read_text())] == []


@pytest.mark.parametrize(
    "source",
    [
        "import os\nos.replace(a, b)",
        "def f(path):\n    path.rename(other)",
        "path.write_text('x')",
        "open(path, 'w')",
        "open(path, mode='ab')",
        "path.open('x')",
        "torch.save(state, path)",
    ],
)
def test_a_writer_of_its_own_is_found(source):
    assert write_complaints("lagem.models.a", source)


@pytest.mark.parametrize(
    "source",
    [
        "from lagem.storage.atomic import write_text\nwrite_text(path, 'x')",
        "with replaced(path) as temporary:\n    image.save(temporary)",
        "open(path, 'rb')",
        "path.open(newline='')",
        "dataclasses.replace(a, b=1)",
        "text.replace('a', 'b')",
        "torch.save(state, content := io.BytesIO())",
    ],
)
def test_a_reader_or_an_atomic_writer_passes(source):
    assert write_complaints("lagem.models.a", source) == []
