"""One `lagem` command as a SLURM job: the resources that it requests, and the batch script that runs it.

A training runs one task for each GPU of every node; any other command runs one task. Before the time limit, SLURM
signals a command that can resume. A fit then saves and requeues itself; for other commands, a trap in the script
requeues the job.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lagem.cluster.profile import Profile
from lagem.configuration.bounds import MOST_PARTS, check_bounds

TRAINING = ("fit", "validate", "test", "predict")
RESUMABLE = ("prepare", "encode", "evaluate", "evaluate-generation", "levels")
TAKEN_FOR_A_SHELL = ("bash", "interactive")  # Lightning ignores SLURM in a job with such a name


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command with its folder and its profile.

    Args:
        name: Name of the job.
        command: Verb and arguments of `lagem`.
        folder: Folder of the script, the command, the logs and the marker file `finished`; for a training, it is also
            the run folder.
        profile: Resources that the job requests from the cluster.
        python: Shell words that start Python, unless the profile sets `python`.
        parts: Number of array tasks that share the work; when they are done, the command itself does the last step.
            0: no array.
    """

    name: str
    command: Sequence[str]
    folder: Path
    profile: Profile
    python: str
    parts: int = 0

    def __post_init__(self) -> None:
        if self.name in TAKEN_FOR_A_SHELL:
            raise ValueError(
                f"a job cannot be named {self.name!r}, because Lightning ignores SLURM in a job with this name; "
                "choose another name."
            )
        if self.parts == 1 or self.parts < 0:
            raise ValueError(f"{self.name}: an array must have at least 2 parts, but {self.parts} was given.")
        check_bounds(f"{self.name}: the number of parts of an array", self.parts, least=0, most=MOST_PARTS)

    @property
    def python_words(self) -> str:
        """Shell words that start Python on the nodes; it imports no modules from the current folder."""
        return f"{self.profile.python or self.python} -P"

    @property
    def script(self) -> Path:
        """Path of the batch script."""
        return self.folder / "job.sh"

    @property
    def command_file(self) -> Path:
        """Path of the file that holds the command, without the arguments that `command_on` adds."""
        return self.folder / "command.txt"

    @property
    def id_file(self) -> Path:
        """Path of the file that holds the ids of the job and of its array."""
        return self.folder / "job_id.txt"

    @property
    def finished(self) -> Path:
        """Path of the marker file that exists if the command has succeeded."""
        return self.folder / "finished"

    def text(self) -> str:
        """Return the batch script."""
        verb = self.command[0]
        srun = f"srun --kill-on-bad-exit=1 --cpus-per-task={self.profile.cpus_per_task} {self.python_words} -m lagem"
        run = f"{srun} {wrapped(self.command_on(self.profile))}"
        if verb in RESUMABLE:
            # If the script exited before SLURM ends it, the job would be over and would not be requeued.
            requeue = "trap 'scontrol requeue \"$SLURM_JOB_ID\" && sleep 300' USR1  # the command will resume"
            run = f'{requeue}\n{run} &\nwait "$!"'
        logs, mark = shlex.quote(str(self.folder)), shlex.quote(str(self.finished))
        lines = [
            "#!/usr/bin/env bash",
            *(option_line(name, value) for name, value in self.options().items()),
            "",
            f"# Written by `lagem submit`. SLURM makes no folder for the log: mkdir -p {logs}",
            "set -e",
            *self.profile.environment,
            "",
            run,
            f"touch {mark}",
        ]
        return "\n".join(lines) + "\n"

    def options(self) -> Mapping[str, str | int | bool]:
        """Return the options of sbatch by name."""
        profile, verb = self.profile, self.command[0]
        training = verb in TRAINING
        gpus = profile.gpus_per_node if training else min(profile.gpus_per_node, 1)
        wanted = {
            "job-name": self.name,
            "partition": profile.partition,
            "account": profile.account,
            "nodes": profile.nodes if training else 1,
            "ntasks-per-node": profile.tasks_per_node if training else 1,
            "gres": f"gpu:{gpus}" if gpus else None,
            "cpus-per-task": profile.cpus_per_task,
            "mem": profile.memory,
            "time": profile.minutes,
            "requeue": True,
            "signal": signal_of(verb, profile.signal_seconds),
            "open-mode": "append",
            "output": f"{str(self.folder).replace('%', '%%')}/slurm-%j.out",
            **profile.sbatch,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def command_on(self, profile: Profile | None) -> list[str]:
        """Return the command that the job runs.

        The training verbs get options for the run folder, and for the numbers of nodes and devices in the profile. The
        verb `fit` also gets the option that lets it resume.

        Args:
            profile: The profile; None on this machine, which is one node, and whose devices the experiment chooses.

        Raises:
            ValueError: If the command sets the nodes, the devices or the run folder to another value.
        """
        verb = self.command[0]
        if verb not in TRAINING:
            return list(self.command)
        added = []
        nodes, devices = (1, None) if profile is None else (profile.nodes, profile.tasks_per_node)
        for name, value in (
            ("--trainer.num_nodes", nodes),
            ("--trainer.devices", devices),
            ("--trainer.default_root_dir", self.folder),
        ):
            if value is None:
                continue
            given = value_of(name, self.command)
            if given is None:
                added.append(f"{name}={value}")
            elif given != str(value):
                raise ValueError(
                    f"{name} is {given}, but the job needs {value}. Leave this option out: the job sets it from "
                    "the profile (nodes, gpus_per_node) or from its folder (--runs, --name); change those instead."
                )
        if verb == "fit" and value_of("--ckpt_path", self.command) is None:
            added.append("--ckpt_path=last")  # so that the training also resumes after a node failed
        return [*self.command, *added]


def signal_of(verb: str, seconds: int) -> str | None:
    """Return the value of sbatch's `--signal`, or None for a command that cannot resume.

    In a fit, every process receives the signal. For any other command, only the script does.
    """
    if verb in TRAINING:
        return f"USR1@{seconds}" if verb == "fit" else None
    return f"B:USR1@{seconds}" if verb in RESUMABLE else None


def checked_folder(runs: Path, name: str) -> Path:
    """Return the folder of the job with this name; raises ValueError if the name cannot be used for a folder."""
    if not name or name.startswith(".") or any(letter in name for letter in "/\\\n"):
        raise ValueError(
            f"the name {name!r} cannot be used for a folder: it must not be empty, start with a dot, or contain a "
            "slash, a backslash or a newline."
        )
    return runs / name


def option_line(name: str, value: str | int | bool) -> str:
    """Return one option of sbatch as a line of a script."""
    return f"#SBATCH --{name}" if value is True else f"#SBATCH --{name}={shlex.quote(str(value))}"


def values_of(name: str, command: Sequence[str]) -> list[str]:
    """Return the values that a command line gives to an option, in order."""
    values = []
    for word, after in zip(command, [*command[1:], None], strict=True):
        if word == name and after is not None:
            values.append(after)
        elif word.startswith(f"{name}="):
            values.append(word.split("=", 1)[1])
    return values


def value_of(name: str, command: Sequence[str]) -> str | None:
    """Return the last value that a command line gives to an option; None if it does not give the option."""
    return ([None, *values_of(name, command)])[-1]


def wrapped(words: Sequence[str]) -> str:
    """Return words as one shell command, in which each option starts a new line."""
    text = ""
    for word in words:
        text += f" \\\n    {shlex.quote(word)}" if word.startswith("--") else f" {shlex.quote(word)}"
    return text.strip()
