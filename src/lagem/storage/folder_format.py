"""format.json and the headers of shards: which format and version a folder has, and with what settings it was made."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lagem.storage.atomic import write_json
from lagem.storage.stored_folder import LocalFolder, StoredFolder


@dataclass(frozen=True, kw_only=True)
class FolderFormat:
    """A kind of folder of shards.

    Args:
        name: In every header of it.
        version: In every header of it, too.
        kind: What a user calls such a folder.
        command: The command that writes it.
        usage: How to make one, for who has none; `{root}` stands for the folder.
    """

    name: str
    version: int
    kind: str
    command: str
    usage: str

    def check(self, path: str | Path, header: Mapping[str, Any]) -> None:
        """ValueError unless a header names this format and this version."""
        if header.get("format") != self.name:
            raise ValueError(f"{path}: format is {header.get('format')!r}, expected {self.name!r}.")
        if header.get("version") != self.version:
            raise ValueError(
                f"{path}: version {header.get('version')!r} of {self.name}, but this lagem reads version "
                f"{self.version}; make it again with `{self.command}`, or use the lagem that wrote it."
            )

    def read(self, folder: StoredFolder) -> dict[str, Any]:
        """format.json of a folder: format, version, settings, and what else the format keeps there."""
        path = f"{folder.name}/format.json"
        try:
            with folder.held("format.json") as file:
                header = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            lacks = f"has no format.json, so `{self.command}` did not write it"
            what = lacks if folder.is_there() else "there is no such folder"
            raise ValueError(f"{folder.name}: {what}; {self.usage.format(root=folder.name)}.") from None
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: cannot be read ({error}).") from None
        if not isinstance(header, dict):
            raise ValueError(f"{path}: holds no JSON object.")
        self.check(path, header)
        return header

    def begin(self, root: Path, *, settings: Mapping[str, Any], **more: Any) -> None:
        """Make the folder with its format.json, or check that it was made with the same settings.

        Args:
            root: The folder.
            settings: What decides its bytes.
            more: What else format.json keeps; not compared.
        """
        # looked at before format.json is, as another part may just be making the folder
        is_other = root.exists() and (
            not root.is_dir() or any(not path.name.startswith(".") for path in root.iterdir())
        )
        if not (root / "format.json").exists():
            if is_other:
                raise ValueError(f"{root}: is not empty and not a {self.kind}; give --output a new or an empty one.")
            root.mkdir(parents=True, exist_ok=True)
            header = {"format": self.name, "version": self.version, **more, "settings": settings}
            write_json(root / "format.json", header, indent=2, ensure_ascii=True)
        before = self.read(LocalFolder(root))["settings"]
        now = json.loads(json.dumps(settings))
        if lacking := [name for name in now if name not in before]:
            raise ValueError(
                f"{root}: was made by an older lagem, whose format.json lacks {', '.join(lacking)}; "
                "give another --output."
            )
        if differing := [name for name in now if before.get(name) != now[name]]:
            was, asked = ({name: values.get(name) for name in differing} for values in (before, now))
            raise ValueError(
                f"{root}: was made with {in_words(was)}, but now {in_words(asked)} is asked for; "
                "give the same values, or another --output."
            )

    @contextmanager
    def opened(self, path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
        """A shard's safetensors file and its header; ValueError names a file that is missing or no such shard."""
        try:
            file = safe_open(path, framework="numpy")
            header = json.loads((file.metadata() or {})["lagem"])
            self.check(path, header)
            yield file, header
        except FileNotFoundError:
            raise ValueError(f"{path}: the shard is missing; run `{self.command}` again.") from None
        except (SafetensorError, KeyError, json.JSONDecodeError) as error:
            raise ValueError(
                f"{path}: not a {self.name} shard, or a damaged one ({error}); copy it again, or remove it and run "
                f"`{self.command}` again."
            ) from None

    def metadata(self, **words: Any) -> dict[str, str]:
        """A shard's metadata with its words; one entry only: safetensors writes several in no fixed order."""
        header = {"format": self.name, "version": self.version, **words}
        return {"lagem": json.dumps(header, sort_keys=True, ensure_ascii=False)}


def in_words(values: Mapping[str, object]) -> str:
    """Settings as `name=value, …`."""
    return ", ".join(f"{name}={value}" for name, value in values.items())
