"""JUnit files, by the elements and attributes that Jenkins' junit-10.xsd allows."""

from typing import Any
from xml.etree import ElementTree

import pytest

from runner.core import Problem, StoreError
from runner.report import __main__ as report
from runner.report import junit
from runner.results import Account, Failure, Gate, Result, Sweep, SweepJob

ALLOWED = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "time", "skipped", "timestamp", "hostname", "id", "package"},
    "testcase": {"name", "assertions", "time", "classname", "status", "file", "line"},
    "failure": {"message", "type"},
    "error": {"message", "type"},
    "skipped": {"message", "type"},
    "system-out": set(),
}


def run(**fields: Any) -> Result:
    return Result(**{"status": "ok", "model": "dqn", "soc": "cpu", "tool": "onnxruntime", "batch": 1} | fields)


def parsed(cases: Any) -> ElementTree.Element:
    return ElementTree.fromstring(junit.document("runner", cases))


GATES = (
    Gate(name="accuracy.top1", verdict="pass", measured=99.0, expected=99.9, tolerance=1.0),
    Gate(name="fidelity.x", verdict="fail", measured=0.5, expected=0.999, tolerance=0.0, source="conf/model: dqn"),
    Gate(name="throughput", verdict="skip", reason="reported only"),
)


def test_a_gate_is_a_test_case() -> None:
    (suite,) = parsed(junit.cases([run(gates=GATES)], []))
    assert (suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("skipped")) == (
        "dqn",
        "3",
        "1",
        "1",
    )
    told = {case.get("name"): {child.tag: child.get("message") for child in case} for case in suite}
    assert told == {
        "accuracy.top1": {"system-out": None},
        "fidelity.x": {"failure": "0.5, expected 0.999 within 0"},
        "throughput": {"skipped": "reported only"},
    }


def test_a_run_that_failed_is_an_error_with_its_fix() -> None:
    failed = run(status="failed", error=Failure("infer", "no device", "plug it in"), path="/out/result.json")
    (suite,) = parsed(junit.cases([failed], []))
    (error,) = suite[0]
    assert (error.tag, error.get("message")) == ("error", "infer: no device")
    assert error.text == "fix: plug it in\n/out/result.json"


def test_each_of_several_problems_of_a_run_stands_with_its_fix() -> None:
    problems = (Problem("no data", "give dataset.root=DIR"), Problem("no atc", "install CANN"))
    failed = run(status="failed", error=Failure("preflight", "", "", problems), path="/out/result.json")
    ((error,),) = (each[0] for each in parsed(junit.cases([failed], [])))
    assert error.get("message") == "preflight: no data"
    assert error.text == "fix: give dataset.root=DIR\npreflight: no atc\n    fix: install CANN\n/out/result.json"


def test_a_run_without_gates_is_a_test_case_too() -> None:
    (suite,) = parsed(junit.cases([run()], []))
    assert [case.get("name") for case in suite] == ["run"]


def test_a_missing_job_of_a_sweep_is_an_error() -> None:
    job = SweepJob("3", ("batch=8",))
    sweep = Sweep(created="2026-11-21T12:00:00+00:00", host="h", jobs=(job,))
    account = Account(folder="/out/sweep", sweep=sweep, done=(), failed=(), missing=(job,))
    (suite,) = parsed(junit.cases([], [account]))
    assert (suite[0].get("name"), suite[0][0].tag) == ("3 batch=8", "error")


def test_models_are_suites_and_their_cases_are_counted() -> None:
    root = parsed(junit.cases([run(gates=GATES), run(model="dcgan", gates=GATES[:1]), run(gates=GATES[:1])], []))
    assert [(suite.get("name"), suite.get("tests")) for suite in root] == [("dcgan", "1"), ("dqn", "4")]
    assert root.get("tests") == "5"


def test_runs_that_differ_by_an_override_have_cases_of_their_own() -> None:
    (suite,) = parsed(junit.cases([run(overrides=("seed=1",)), run(overrides=("seed=2",))], []))
    assert [case.get("classname") for case in suite] == [
        f"dqn on cpu with onnxruntime, batch 1, , seed={seed}" for seed in (1, 2)
    ]


def test_every_element_is_one_that_jenkins_knows() -> None:
    failed = run(status="failed", error=Failure("infer", "m", "f"))
    for element in parsed(junit.cases([run(gates=GATES), failed, run(status="failed", model="")], [])).iter():
        assert set(element.attrib) <= ALLOWED[element.tag]


@pytest.mark.parametrize("odd", ["\x1b[31mred\x1b[0m", "\x00", "\ud800", "\ufffe", "<&\"'>\n\t"])
def test_any_text_makes_a_file_that_can_be_parsed(odd: str) -> None:
    gate = Gate(name=odd, verdict="fail", reason=odd)
    (suite,) = parsed(junit.cases([run(model=f"m{odd}", gates=(gate,))], []))
    assert suite[0].get("name") in (odd, ascii(odd)[1:-1])


def test_a_file_that_cannot_be_written_is_an_error(tmp_path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        junit.write(tmp_path, "runner", [])


def test_the_report_writes_it(write_result, tmp_path, capsys) -> None:
    write_result("run")
    write_result("broken", batch=4, status="failed", gates=[], error={"stage": "infer", "message": "m", "fix": "f"})
    assert report.main([str(tmp_path), "--junit", str(tmp_path / "junit.xml")]) == 0
    (suite,) = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert (suite.get("name"), suite.get("tests"), suite.get("errors")) == ("dcgan", "2", "1")
