"""The format of a folder of shards, as stated by its format.json and by the header of each shard.

Both state the format's name and version; format.json also states the settings that the folder was made with.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lagem.storage.atomic import write_json
from lagem.storage.checked.arrays import ArrayFile
from lagem.storage.checked.checksums import Array, with_checksums
from lagem.storage.checked.description import Description, read_description
from lagem.storage.names import checked_id
from lagem.storage.stored_folder import LocalFolder, StoredFolder


@dataclass(frozen=True, kw_only=True)
class FolderFormat:
    """The format of one kind of folder of shards.

    Args:
        name: Name of the format, which every header states.
        version: Version of the format, which every header states.
        kind: What users call such a folder, such as `prepared folder`.
        command: The command that writes such a folder.
        usage: Hint for a user who has no such folder; `{root}` stands for the path that the user gave.
    """

    name: str
    version: int
    kind: str
    command: str
    usage: str

    def check(self, path: str | Path, header: Mapping[str, Any]) -> None:
        """Raise ValueError unless a header, read from `path`, states this format and this version."""
        if header.get("format") != self.name:
            raise ValueError(
                f"{path}: format is {header.get('format')!r:.100}, expected {self.name!r}; give a {self.kind}, as "
                f"`{self.command}` writes it."
            )
        if header.get("version") != self.version:
            raise ValueError(
                f"{path}: is version {header.get('version')!r:.100} of {self.name}, but this lagem reads version "
                f"{self.version}; write it again with `{self.command}`, or use the version of lagem that wrote it."
            )

    def read(self, folder: StoredFolder) -> Description:
        """Return the content of a folder's format.json; raises ValueError if it is invalid or states another format."""
        path = f"{folder.name}/format.json"
        try:
            with folder.held("format.json") as file:
                header = read_description(file, name=path, remedy="copy the folder again")
        except FileNotFoundError:
            lacks = f"has no format.json, so `{self.command}` did not write it"
            what = lacks if folder.is_there() else "there is no such folder"
            raise ValueError(f"{folder.name}: {what}; {self.usage.format(root=folder.name)}.") from None
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error}); copy the folder again.") from None
        self.check(path, header.values)
        return header

    def begin(self, root: Path, *, settings: Mapping[str, Any], optional: Collection[str] = (), **more: Any) -> None:
        """Create a folder with its format.json, or check that an existing one was made with the same settings.

        Args:
            root: The folder.
            settings: All settings that the folder's content depends on.
            optional: Names of settings that are omitted from format.json if they are None. Errors spell them as
                options.
            more: Further entries of format.json, which are not compared.

        Raises:
            ValueError: If the folder holds something else, or was made with other settings.
        """
        # determined before looking for format.json, since another part may be creating the folder at this moment
        is_other = root.exists() and (
            not root.is_dir() or any(not path.name.startswith(".") for path in root.iterdir())
        )
        if not (root / "format.json").exists():
            if is_other:
                raise ValueError(f"{root}: is not empty and not a {self.kind}; give --output a new or an empty folder.")
            root.mkdir(parents=True, exist_ok=True)
            stored = {name: value for name, value in settings.items() if value is not None or name not in optional}
            header = {"format": self.name, "version": self.version, **more, "settings": stored}
            write_json(root / "format.json", header, indent=2, ensure_ascii=True)
        before = self.read(LocalFolder(root)).object("settings").values
        now = json.loads(json.dumps(settings))
        if lacking := [name for name in now if name not in before and name not in optional]:
            raise ValueError(
                f"{root}: was made by an older version of lagem, whose format.json lacks {', '.join(lacking)}; "
                "give another --output."
            )
        if differing := [name for name in now if before.get(name) != now[name]]:
            was, asked = ({name: values.get(name) for name in differing} for values in (before, now))
            raise ValueError(
                f"{root}: was made {_in_words(was, optional, given='with ', omitted='without ')}, but this command has "
                f"{_in_words(asked, optional, given='', omitted='no ')}; "
                "use the same options as before, or another --output."
            )

    def opened(self, path: Path) -> ArrayFile:
        """Open a shard, and check its format, its description and its ids.

        Raises:
            ValueError: If the shard is missing, damaged or of another format.
        """
        remedy = f"copy it again, or run `{self.command}` again with --verify"
        try:
            file = ArrayFile(path, entry="lagem", what=f"a {self.name} shard", remedy=remedy)
        except FileNotFoundError:
            raise ValueError(f"{path}: the shard is missing; run `{self.command}` again.") from None
        self.check(path, file.description.values)
        file.verify_description()
        for row, id in enumerate(file.description.texts("ids")):
            checked_id(id, path, row=row)
        return file

    def metadata(self, small: Mapping[str, Array], **entries: Any) -> dict[str, str]:
        """Return the metadata of a shard: one key, `lagem`, whose value is a JSON text.

        There is only one key, because safetensors writes several keys in no fixed order.

        Args:
            small: Arrays that readers load whole; each gets a checksum.
            entries: The description of the shapes, as fields of the JSON text.
        """
        header = with_checksums({"format": self.name, "version": self.version, **entries}, small)
        return {"lagem": json.dumps(header, sort_keys=True, ensure_ascii=False)}


def _in_words(values: Mapping[str, object], options: Collection[str], *, given: str, omitted: str) -> str:
    """Return settings as a text such as `with seed=0, without --up`, or `seed=0, no --up`.

    Args:
        values: The settings; None stands for one that was not given.
        options: Names of settings that the text spells as options.
        given: What precedes each setting that was given.
        omitted: What precedes the name of each setting that was not given.
    """
    words = []
    for name, value in values.items():
        shown = f"--{name}" if name in options else name
        equals = " " if name in options else "="
        words.append(f"{omitted}{shown}" if value is None else f"{given}{shown}{equals}{value}")
    return ", ".join(words)
