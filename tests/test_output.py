"""Commands behave well if an output stream is closed, full or no longer read, or if its encoding lacks characters."""

import os
from pathlib import Path
from typing import Any

from deadlines import HANG
from small_command import launch

BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def ended(work: str, **settings: Any) -> tuple[int, str, str]:
    process = launch(work, **settings)
    output, errors = process.communicate(timeout=HANG)
    return process.returncode, output, errors


def test_a_command_whose_output_nobody_reads_ends_as_others_do():
    reading, writing = os.pipe()
    os.close(reading)
    table = "from rich.console import Console; Console().print('a table')"
    for work in ("print('a line')", "while True:\n        print('a line')", table):
        assert ended(work, stdout=writing) == (141, None, "")  # the exit code that a shell gives for SIGPIPE
    os.close(writing)


def test_a_broken_connection_is_not_taken_for_unread_output():
    assert ended("raise BrokenPipeError(32, os.strerror(32))") == (2, "", "lagem: error: Broken pipe\n")


def test_output_to_a_full_disk_is_one_line():
    with Path("/dev/full").open("w") as full:
        message = "lagem: error: standard output: No space left on device; free some space there, then run the same"
        code, _, errors = ended("print('a line')", stdout=full, env=BUFFERED)
    assert code == 2 and errors.startswith(message) and errors.count("\n") == 1


def test_a_file_does_not_take_the_number_of_a_closed_stream(tmp_path):
    work = f"""with open({str(tmp_path / "result")!r}, "w") as file:
        print("printed", flush=True)
        os.system("echo printed, too")
        print("warned", file=sys.stderr, flush=True)
        file.write("result")"""
    closed = {"preexec_fn": lambda: os.closerange(0, 3), "stdout": None, "stderr": None}
    assert ended(work, **closed) == (0, None, None)
    assert (tmp_path / "result").read_text() == "result"


def test_letters_that_the_locale_lacks_are_replaced():
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    work = r"print('100 \u00d7 2 \u2192 200'); print('\udcff'); print('\u00e9', file=sys.stderr)"
    assert ended(work, env=ascii_only) == (0, "100 ? 2 ? 200\n?\n", "?\n")


def test_a_full_disk_in_a_thread_prints_no_traceback():
    """TensorBoard writes in such a thread; if the disk is full, the main thread raises the same error later."""
    work = """import errno, threading
    def fail():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()"""
    assert ended(work) == (0, "", "")
    code, _, errors = ended(work.replace("OSError(", "KeyError("))
    assert code == 0 and "KeyError" in errors


def test_a_failure_of_the_system_names_the_file_and_what_to_do():
    work = """import errno
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/mnt/out")"""
    line = "lagem: error: /mnt/out: Read-only file system; change its permissions, or give another path.\n"
    assert ended(work) == (2, "", line)
    code, _, errors = ended("open('absent')")
    assert (code, errors) == (2, "lagem: error: absent: No such file or directory\n")
