"""The report of a diagnosis, as text for people and as JSON for programs."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from lagem.diagnosis.examination import Diagnosis
from lagem.diagnosis.finding import Finding
from lagem.storage.atomic import write_json

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def print_report(diagnosis: Diagnosis) -> None:
    """Print each finding with its confidence and the advice, then what was examined."""
    console = Console(highlight=False, soft_wrap=True)
    for finding in diagnosis.findings:
        style = STYLES[finding.severity]
        sure = f"{finding.confidence:.0%}" if finding.confidence < 0.995 else ">99%"
        console.print(f"[{style}]{finding.severity}[/] {finding.check} ({sure} sure)  {escape(finding.what)}")
        console.print(f"    {escape(finding.advice)}")
    for name, what in diagnosis.examined.items():
        console.print(f"{name:<12}{escape(what)}")
    console.print(f"{_verdict(diagnosis.faults)} in {diagnosis.seconds:.0f} s")


def _verdict(faults: list[Finding]) -> str:
    if not faults:
        return "Nothing is wrong; examined"
    names = ", ".join(dict.fromkeys(finding.check for finding in faults))
    return f"{len(faults)} fault{'s' if len(faults) > 1 else ''} ({names}); examined"


def as_plain(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return a diagnosis as a dict for JSON; docs/doctor.md describes its fields."""
    return {
        "config": diagnosis.config,
        "healthy": not diagnosis.faults,
        "findings": [asdict(finding) for finding in diagnosis.findings],
        "examined": diagnosis.examined,
        "seconds": round(diagnosis.seconds, 1),
    }


def write_report(diagnosis: Diagnosis, path: Path) -> None:
    """Write a diagnosis to a JSON file."""
    write_json(path, as_plain(diagnosis), indent=2)
