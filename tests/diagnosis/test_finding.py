"""A check of `lagem doctor` that fails becomes a finding, so that the findings of other checks are not lost."""

import pytest

from lagem.diagnosis.finding import Finding, failure_found


def test_a_check_that_fails_becomes_a_fault():
    findings: list[Finding] = []
    with failure_found(findings, "split", "Training and validation sets"):
        raise IndexError("list index\nout of range")
    (finding,) = findings
    assert finding.is_fault and finding.check == "split"
    assert finding.what == "Training and validation sets could not be tested: IndexError: list index out of range"
    assert "test_finding.py" in finding.evidence["traceback"]


def test_a_check_that_fails_keeps_what_it_found_before():
    findings: list[Finding] = []
    with failure_found(findings, "labels", "Labels"), failure_found(findings, "frame", "Frames"):
        raise ValueError
    assert [finding.check for finding in findings] == ["frame"]
    with failure_found(findings, "values", "Values"):
        pass
    assert [finding.check for finding in findings] == ["frame"]


def test_a_request_to_stop_is_not_a_finding():
    findings: list[Finding] = []
    with pytest.raises(KeyboardInterrupt), failure_found(findings, "split", "Sets"):
        raise KeyboardInterrupt
    assert findings == []
