"""Whatever a user's callable does, the run ends with 1, names it with its file and line, and writes its result."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RANDOM = "weights=random"
SCORED = "stages=[score]"
REPOSITORY = Path(__file__).parents[2]

ENDINGS = {
    "exit": "import sys; sys.exit(0)",
    "exit_3": "raise SystemExit(3)",
    "os_exit": "import os; os._exit(0)",
    "base": "raise BaseException('odd')",
    "generator": "raise GeneratorExit",
    "stop": "raise StopIteration",
    "os_error": "open('/nowhere/at/all')",
    "denied": "raise PermissionError(13, 'Permission denied', '/root/secret')",
    "import": "import nothing_of_this_name",
    "syntax": "exec('1 +')",
    "recursion": "f = lambda f: f(f); f(f)",
    "keyboardless": "import asyncio; raise asyncio.CancelledError",
    "warning": "import warnings; warnings.simplefilter('error'); warnings.warn('beware')",
    "own": "error = ValueError(); error.__cause__ = error; raise error",
    "text": "class Odd(Exception):\n        def __str__(self): raise ValueError\n    raise Odd",
}
"""What the body of a function does in place of its work."""


@pytest.fixture
def failed(run_tiny, tiny_zoo: Path) -> Callable[..., dict]:
    """Run with a module `hooks` in the user's package; return result.json's error after checking what was shown."""

    def run(source: str, *arguments: str, weights: object = "random") -> dict:
        (tiny_zoo / "tiny_zoo" / "hooks.py").write_text(source)
        done = run_tiny(f"weights={weights}", *arguments, check=1)
        written = json.loads((tiny_zoo / "out" / "result.json").read_text())
        assert written["status"] == "failed", done.stderr
        assert "hooks.py:" in written["error"]["message"]
        assert "hooks.py:" in done.stderr
        assert "fault of the runner" not in done.stderr + str(written["error"])
        assert "HYDRA_FULL_ERROR" not in done.stderr
        return written["error"]

    return run


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_metric_that_does_anything_but_score_is_named(ending: str, failed) -> None:
    source = f"def metric(results, truths):\n    {ENDINGS[ending]}\n"
    failed(source, SCORED, "+dataset.metrics.mine={_target_: tiny_zoo.hooks.metric}")


NETWORK = "from tiny_zoo.net import Tiny\n\n\nclass Net(Tiny):\n    def {method}:\n    {body}\n"
NAMED = "model.network._target_=tiny_zoo.hooks.Net"


def network(method: str, body: str) -> str:
    return NETWORK.format(method=method, body=f"    {body}".replace("\n", "\n    "))


@pytest.mark.parametrize("ending", ["exit", "os_exit", "base", "os_error", "denied", "stop", "warning", "generator"])
def test_a_networks_constructor_is_named(ending: str, failed) -> None:
    failed(network("__init__(self, classes=4)", ENDINGS[ending]), "stages=[weights]", NAMED)


@pytest.mark.parametrize("ending", ["exit", "os_exit", "base", "os_error", "import"])
def test_a_networks_forward_is_named(ending: str, failed) -> None:
    failed(network("forward(self, image)", ENDINGS[ending]), "stages=[export]", NAMED)


def test_a_forward_that_fails_on_samples_only_is_named(failed) -> None:
    body = "import torch\n    if not torch.onnx.is_in_onnx_export() and len(image) == 8 and image.std() > 1e-3:\n"
    body += "        raise OSError('no samples')\n    return super().forward(image)"
    failed(network("forward(self, image)", body), SCORED, NAMED)


@pytest.mark.parametrize("ending", ["exit", "os_error", "base", "os_exit"])
def test_a_surgery_is_named(ending: str, failed) -> None:
    source = f"def surgery(model):\n    {ENDINGS[ending]}\n"
    failed(source, "stages=[simplify]", "model.surgery=[tiny_zoo.hooks.surgery]")


READER = """
from dataclasses import dataclass

from runner.tasks.classification.synthetic import SyntheticImages


@dataclass(frozen=True)
class Reader(SyntheticImages):
    def {method}:
        {body}
"""
READS = "dataset.reader._target_=tiny_zoo.hooks.Reader"


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("validate(self, request)", "raise RuntimeError('odd')"),
        ("validate(self, request)", "return None"),
        ("validate(self, request)", "return ['a text']"),
        ("validate(self, request)", "import sys; sys.exit(0)"),
        ("content(self, request, hash_files)", "import os; os._exit(0)"),
        ("stored_bytes(self, request)", "return 'many'"),
        ("write(self, request, out, policy)", "raise BaseException('odd')"),
        ("write(self, request, out, policy)", "return None"),
        ("write(self, request, out, policy)", "import sys; sys.exit(0)"),
        ("__post_init__(self)", "import sys; sys.exit(0)"),
    ],
)
def test_a_reader_is_named(method: str, body: str, failed) -> None:
    failed(READER.format(method=method, body=body), "stages=[prepare]", READS)


@pytest.mark.parametrize(
    "body", ["return None", "return 'text'", "return 5", "return results[:1, 0]", "return results"]
)
def test_a_metric_that_returns_no_number_per_sample_is_named(body: str, failed) -> None:
    error = failed(
        f"def metric(results, truths):\n    {body}\n", SCORED, "+dataset.metrics.mine={_target_: tiny_zoo.hooks.metric}"
    )
    assert "a number per sample" in error["fix"]


METRIC = """
from runner.core import Figure


class Metric:
    figures = {figures}

    def add(self, results, truths):
        pass

    def merge(self, other):
        pass

    def compute(self):
        return {computed}
"""


@pytest.mark.parametrize(
    ("figures", "computed"),
    [
        ("{'mine': Figure()}", "None"),
        ("{'mine': Figure()}", "{'other': 1.0}"),
        ("{'mine': Figure()}", "{'mine': 'text'}"),
        ("{'mine': Figure()}", "{'mine': None}"),
        ("{'mine': Figure()}", "{'mine': float('nan')}"),
        ("{'mine': 5}", "{'mine': 1.0}"),
        ("5", "{}"),
    ],
)
def test_a_metric_class_that_computes_something_else_is_named(figures: str, computed: str, failed) -> None:
    source = METRIC.replace("{figures}", figures).replace("{computed}", computed)
    failed(source, SCORED, "+dataset.metrics.mine={_target_: tiny_zoo.hooks.Metric}")


@pytest.mark.parametrize("body", ["return None", "return 5", "return list(outputs.values())[0] * float('nan')"])
def test_a_decoder_that_returns_no_results_is_named(body: str, failed) -> None:
    failed(f"def decode(outputs, rows):\n    {body}\n", SCORED, "+model.decode._target_=tiny_zoo.hooks.decode")


@pytest.mark.parametrize("place", ["adapt", "settings"])
@pytest.mark.parametrize("returned", ["5", "{5: 5}", "None"])
def test_what_changes_a_checkpoint_must_return_its_kind(
    place: str, returned: str, failed, run_tiny, tiny_zoo: Path
) -> None:
    run_tiny(RANDOM, "stages=[weights]")
    made = json.loads((tiny_zoo / "out" / "result.json").read_text())["artifacts"]["weights"]
    copy = tiny_zoo / "tiny.safetensors"
    copy.write_bytes(Path(made).read_bytes())
    model = tiny_zoo / "conf" / "model" / "tiny.yaml"
    hook = f"checkpoint:\n  {place}: {{_target_: tiny_zoo.hooks.change}}"
    model.write_text(model.read_text().replace("checkpoint:", hook))
    failed(f"def change(*given):\n    return {returned}\n", "stages=[export]", weights=copy)


SHOWN = """
name: shown
task: image_classification
reader: {_target_: runner.tasks.classification.SyntheticImages, count: 8, width: 9, height: 9, classes: 4}
scored_against: labels
metrics:
  top1: {_target_: runner.tasks.classification.top_k, k: 1}
preview: {_target_: tiny_zoo.hooks.preview}
"""


@pytest.mark.parametrize("body", [*(ENDINGS[each] for each in ("exit", "os_exit", "base", "os_error")), "return 5"])
def test_a_preview_is_named_and_the_figures_are_kept(
    body: str, failed, tiny_zoo: Path, tiny_arguments: list[str]
) -> None:
    source = f"def preview(examples, folder):\n    {body}\n"
    (tiny_zoo / "conf" / "dataset").mkdir()
    (tiny_zoo / "conf" / "dataset" / "shown.yaml").write_text(SHOWN)
    tiny_arguments[4] = "dataset=shown"
    error = failed(source, SCORED)
    assert error["stage"] == "preview"
    assert "top1" in json.loads((tiny_zoo / "out" / "result.json").read_text())["accuracy"]


TOOL = """
from dataclasses import dataclass

from runner.tools.onnxruntime import OnnxRuntime


@dataclass(frozen=True)
class Tool(OnnxRuntime):
    def {method}:
        {body}
"""


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("version(self)", "return 5"),
        ("version(self)", "import sys; sys.exit(0)"),
        ("validate(self, placement, inputs=())", "return None"),
        ("measuring(self)", "return None"),
        ("infer(self, model, placement, batches, work)", "for batch in batches: yield 5"),
        ("infer(self, model, placement, batches, work)", "for batch in batches: yield {'class': 5}"),
        ("measure(self, model, placement, inputs, limits, work)", "return None"),
        ("measure(self, model, placement, inputs, limits, work)", "import os; os._exit(0)"),
    ],
)
def test_a_tool_is_named(method: str, body: str, failed) -> None:
    failed(TOOL.format(method=method, body=body), "tool.adapter._target_=tiny_zoo.hooks.Tool")


@pytest.mark.parametrize("arguments", [[], ["dry_run=true"]])
def test_a_process_of_its_own_ends_with_1_too(arguments: list[str], tiny_zoo: Path, tiny_arguments: list[str]) -> None:
    (tiny_zoo / "tiny_zoo" / "hooks.py").write_text(
        READER.format(method="__post_init__(self)", body="import os; os._exit(0)")
    )
    command = [sys.executable, "-m", "runner", "--config-dir", "conf", *tiny_arguments, READS, RANDOM]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [*command, "allow=[tiny_zoo]", *arguments], cwd=tiny_zoo, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "hooks.py:" in done.stderr and "os._exit(0)" in done.stderr


@pytest.mark.parametrize(
    "network",
    [
        "{_target_: torch.nn.LazyLinear, out_features: 4}",
        "{_target_: torch.nn.Linear, in_features: 8, out_features: 4, device: meta}",
    ],
)
def test_a_network_without_values_is_refused(network: str, run_tiny, tiny_zoo: Path) -> None:
    model = tiny_zoo / "conf" / "model" / "tiny.yaml"
    named = "network:\n  _target_: tiny_zoo.net.Tiny\n  classes: 4\n"
    model.write_text(model.read_text().replace(named, f"network: {network}\n"))
    done = run_tiny(RANDOM, "stages=[weights]", check=1)
    assert "has no values in" in done.stderr


def test_a_warning_of_a_library_that_was_made_an_error_is_no_fault_of_the_runner(run_tiny, monkeypatch) -> None:
    monkeypatch.setattr("runner.stages.prepare.prepare", lambda *_, **__: (_ for _ in ()).throw(UserWarning("odd")))
    done = run_tiny(RANDOM, "stages=[prepare]", check=1)
    assert "-W error" in done.stderr
