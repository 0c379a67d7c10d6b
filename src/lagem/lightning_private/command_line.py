"""Undocumented parts of LightningCLI, under names that a subclass can override or call.

Each docstring says why the part is needed and what breaks without it. For each part, there is a test that fails if
Lightning changes the part.
"""

from typing import Any

from lightning.pytorch.cli import LightningArgumentParser, LightningCLI


class OpenCLI(LightningCLI):
    """LightningCLI with three more hooks, and access to the settings and the parser of the verb."""

    def adjust_parser(self, parser: LightningArgumentParser, verb: str) -> None:
        """Hook: change the parser of a verb.

        `add_arguments_to_parser` runs before the verb's arguments exist; without this hook, their defaults cannot be
        changed.
        """

    def check_settings(self) -> None:
        """Hook: check the parsed settings before anything is built.

        It replaces Lightning's `_parse_ckpt_path`, which reads settings from the checkpoint; our checkpoints hold none.
        `_parse_ckpt_path` ignores a missing checkpoint, so without this hook the mistake would be reported only after
        the model and the data are built.
        """

    def set_seed(self) -> None:
        """Hook: seed all generators, unless a subclass overrides this.

        A subclass that parses an experiment only to describe it must not change the random state of the process.
        Without this hook, the subclass could not prevent the seeding.
        """
        super()._set_seed()

    def setting(self, key: str) -> Any:
        """Return a setting after parsing, None if it is not set.

        The setting is that of the verb (`fit`, `test`, …), or of the command line itself if that has no verb. Without
        this, code that reads a setting would have to look up the verb first.
        """
        return self._get(self.config, key)

    def built(self, key: str) -> Any:
        """Return a setting in which instances replace the names of classes; None if the setting is missing.

        Without this, code that adds callbacks could not know which callbacks the configuration already names.
        """
        return self._get(self.config_init, key)

    def parser_of(self, verb: str) -> LightningArgumentParser:
        """Return the parser of a verb, which can write the verb's settings.

        The attribute `parser` is for all verbs together, and cannot write the settings of a single verb.
        """
        return self._parser(verb)

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: Any) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        self.adjust_parser(parser, subcommand)
        return parser

    def _parse_ckpt_path(self) -> None:
        self.check_settings()

    def _set_seed(self) -> None:
        self.set_seed()
