"""One process pushes weights to the Hub and another loads them; a server on this machine takes the Hub's place."""

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import small_cascade as small
from deadlines import HANG
from lagem.generation.bundle import load_bundle, write_bundle
from lagem.reconstruction.codec import load_codec
from lagem.weights.errors import WeightsError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Repositories(BaseHTTPRequestHandler):
    """Serves the part of the Hub's protocol that is needed to download and upload small files.

    held: content of each file, by repository and name.
    """

    held: dict[str, dict[str, bytes]]

    def do_HEAD(self) -> None:
        self._file(with_content=False)

    def do_GET(self) -> None:
        if not self.path.startswith("/api/models/"):
            return self._file(with_content=True)
        repository = "/".join(self.path.split("/")[3:5])
        if repository not in self.held:
            return self._answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        files = [{"rfilename": name, "type": "file", "path": name, "size": len(content), "oid": digest(content)}
                 for name, content in self.held[repository].items()]  # fmt: skip
        if "/tree/" in self.path:
            return self._answer(200, files)
        return self._answer(200, {"id": repository, "modelId": repository, "sha": COMMIT, "siblings": files})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.held.setdefault(name, {})
            return self._answer(200, {"url": f"http://{self.headers['Host']}/{name}", "id": name, "name": name})
        if self.path == "/api/validate-yaml":
            return self._answer(200, {"errors": [], "warnings": []})
        repository = "/".join(self.path.split("/")[3:5])
        if "/preupload/" in self.path:
            files = json.loads(body)["files"]
            answers = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None} for f in files]
            return self._answer(200, {"files": answers})
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                self.held[repository][entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
        address = f"http://{self.headers['Host']}/{repository}/commit/{COMMIT}"
        return self._answer(200, {"success": True, "commitOid": COMMIT, "commitUrl": address, "hookOutput": ""})

    def _file(self, *, with_content: bool) -> None:
        repository, _, rest = self.path.strip("/").partition("/resolve/")
        content = self.held.get(repository, {}).get(rest.partition("/")[2])
        if content is None:
            return self._answer(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{digest(content)}"'}
        return self._send(200, content, headers, with_content=with_content)

    def _answer(self, code: int, value: object, headers: dict[str, str] | None = None) -> None:
        self._send(code, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, code: int, content: bytes, headers: dict[str, str], *, with_content: bool = True) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_content and self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Print nothing."""


def digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@contextmanager
def server() -> Iterator[tuple[str, dict[str, dict[str, bytes]]]]:
    """Yield the address of a Hub that is empty at first, and the dict in which it keeps uploaded files."""
    held: dict[str, dict[str, bytes]] = {}
    handler = type("Handler", (Repositories,), {"held": held})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{hub.server_port}", held
        hub.shutdown()


def run(program: str, address: str, cache: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    environment |= {"HF_ENDPOINT": address, "HF_HOME": str(cache), "HF_TOKEN": "hf_none", "HF_HUB_DISABLE_XET": "1"}
    environment |= {"HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=HANG, cwd=cache.parent
    )


def output_of(program: str, address: str, cache: Path) -> str:
    done = run(program, address, cache)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("cascade")
    autoencoder, *stages = small.write_cascade(folder)
    return write_bundle(autoencoder, stages, folder / "cascade")


def test_a_cascade_that_is_pushed_is_loaded_by_its_address_also_without_a_network(bundle, tmp_path):
    with server() as (address, held):
        push = f"import lagem; print(lagem.load_cascade({str(bundle)!r}).push_to_hub('owner/name', private=True))"
        assert output_of(push, address, tmp_path / "here").strip() == f"{address}/owner/name"
        assert held["owner/name"] == {path.name: path.read_bytes() for path in bundle.iterdir()}
        held["owner/name"]["evil.py"] = b"raise SystemExit(7)"
        load = "import lagem; print(lagem.load_cascade('hf://owner/name').codec.fingerprint)"
        named = f"{load}; print(lagem.load_codec('hf://owner/name@main').fingerprint)"
        expected = load_bundle(bundle).codec.fingerprint
        assert output_of(named, address, tmp_path / "there").split() == [expected, expected]
        assert not list((tmp_path / "there").rglob("evil.py")), "only weights, config and card are fetched"
    assert output_of(load, address, tmp_path / "there").strip() == expected


@pytest.mark.slow
def test_a_card_that_was_edited_on_the_hub_is_kept(bundle, tmp_path):
    with server() as (address, held):
        held["owner/name"] = {"README.md": b"my own card"}
        push = f"import lagem; lagem.load_codec({str(bundle)!r}).push_to_hub('owner/name')"
        output_of(push, address, tmp_path / "here")
        assert held["owner/name"]["README.md"] == b"my own card" and "model.safetensors" in held["owner/name"]


@pytest.mark.slow
def test_a_repository_that_is_not_there_is_one_line(tmp_path):
    program = "from lagem.cli import main; main(['encode', 'hf://owner/absent', 'procedural:1+1', '--output', 'x'])"
    with server() as (address, _):
        done = run(program, address, tmp_path / "cache")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "lagem: error" in line]
    assert "hf://owner/absent: cannot be fetched (RepositoryNotFoundError" in line and "hf auth login" in line


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        WeightsError, match=r"^hf://owner/name: the Hub needs a package; run `pip install 'lagem\[hub\]'`"
    ):
        load_codec("hf://owner/name")


@pytest.mark.parametrize(
    "name", ["hf://", "hf://a", "hf://a/b/c", "hf://../..", "hf://owner/name@../../x", "hf://a/b@"]
)
def test_a_name_that_is_no_repository_is_refused(name):
    with pytest.raises(WeightsError, match=f"^{name}: is not the name of a repository; give hf://OWNER/NAME"):
        load_codec(name)
