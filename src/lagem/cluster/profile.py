"""A cluster profile: the resources that a job requests from SLURM, and what its nodes run before the command."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

MOST_HOURS = 100_000  # eleven years


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Resources of one job; for a resource that is None, the cluster's default applies.

    Args:
        partition: Partition to submit to.
        account: Account to charge.
        nodes: Number of nodes of a training; any other command uses one.
        gpus_per_node: Number of GPUs of each node. A training runs one task on each GPU; any other command requests one
            GPU. If the number is 0, no GPU is requested, and a training runs one task on each node.
        cpus_per_task: Number of CPU cores of each task.
        memory: Memory of a node as SLURM spells it, such as 120G; "0" for all of it.
        hours: Time limit in hours.
        signal_seconds: How many seconds before the time limit a job is signalled to save and requeue; SLURM may signal
            a minute earlier.
        python: Shell words that start Python on the nodes; None for the interpreter that submits the job.
        environment: Shell lines to run before the command, such as `module load cuda` or `export NCCL_DEBUG=WARN`.
        sbatch: More options of sbatch by name, without dashes, such as {constraint: a100}. For an option without a
            value, give true.
    """

    partition: str | None = None
    account: str | None = None
    nodes: int = 1
    gpus_per_node: int = 0
    cpus_per_task: int = 1
    memory: str | None = None
    hours: float = 1.0
    signal_seconds: int = 120
    python: str | None = None
    environment: list[str] = field(default_factory=list)
    sbatch: dict[str, str | int | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("nodes", "cpus_per_task", "signal_seconds"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but at least 1 is needed.")
        if self.gpus_per_node < 0:
            raise ValueError(f"gpus_per_node is {self.gpus_per_node}, but must not be negative.")
        if not 0 < self.hours <= MOST_HOURS:
            raise ValueError(f"hours is {self.hours:g}, but must be above 0 and at most {MOST_HOURS:,}.")
        if self.minutes * 60 <= self.signal_seconds:
            raise ValueError(
                f"hours is {self.hours:g}, which is not more than signal_seconds ({self.signal_seconds} s), so the "
                "job would be signalled to stop before it began. Raise hours, or lower signal_seconds."
            )

    @property
    def minutes(self) -> int:
        """The time limit in minutes, as SLURM takes it."""
        return math.ceil(self.hours * 60)

    @property
    def tasks_per_node(self) -> int:
        """Number of processes of a training on each node: one for each GPU, or one without a GPU."""
        return max(self.gpus_per_node, 1)


def make_profile(values: Mapping[str, Any], *, where: str) -> Profile:
    """Make a profile from plain values; `where` says where they were found and starts each error message."""
    check_fields(Profile, values, where=where)
    try:
        return Profile(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def check_fields(kind: type, values: Mapping[str, Any], *, where: str) -> None:
    """Check that plain values fit the fields of a dataclass.

    Args:
        kind: The dataclass.
        values: The values, by name of their field.
        where: Where they were found; each error message starts with it.

    Raises:
        ValueError: If a field is unknown, missing or of the wrong type; the message is one line.
    """
    hints, own = get_type_hints(kind), fields(kind)
    if unknown := [str(name) for name in values if name not in hints]:
        raise ValueError(
            f"{where}: unknown field {', '.join(unknown)}; the fields are {', '.join(one.name for one in own)}."
        )
    needed = [one.name for one in own if one.default is MISSING and one.default_factory is MISSING]
    if missing := [name for name in needed if name not in values]:
        raise ValueError(f"{where}: lacks the field {', '.join(missing)}.")
    for name, value in values.items():
        if not has_type(value, hints[name]):
            raise ValueError(f"{where}: {name} is {value!r}, but must be {type_name(hints[name])}.")


def has_type(value: Any, hint: Any) -> bool:
    """Return whether a plain value has a type, given as the type hint of a field."""
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if get_origin(hint) is UnionType:
        return any(has_type(value, option) for option in get_args(hint))
    if get_origin(hint) is list:
        return isinstance(value, list) and all(has_type(item, get_args(hint)[0]) for item in value)
    if hint is Any:
        return True
    if get_origin(hint) is dict:
        key, item = get_args(hint)
        return isinstance(value, dict) and all(has_type(k, key) and has_type(v, item) for k, v in value.items())
    return isinstance(value, hint)


def type_name(hint: Any) -> str:
    """Return the name of a type for an error message."""
    return hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
