from pathlib import Path

import pytest

from runner import preflight, slices
from runner.store import Store

IMAGES = ("model=moco_v2", "weights=random", "dataset=synthetic_images")


@pytest.fixture
def faults(run_config, tmp_path, monkeypatch):
    """The faults of a run composed from the arguments, as texts."""
    monkeypatch.chdir(tmp_path)

    def find(*arguments: str) -> list[str]:
        config = run_config(*arguments)
        found = preflight.find_faults(config, Store(tmp_path / "c"), lambda: slices.data_source(config))
        return [str(fault) for fault in found]

    return find


def test_a_run_that_can_be_done_has_none(faults) -> None:
    assert faults(*IMAGES) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("batch=0",), "batch is 0"),
        (("batch=-1",), "batch is -1"),
        (("limit=0",), "limit is 0"),
        (("seed=-3",), "seed is -3"),
        (("stages=[wieghts]",), "'wieghts', which is no stage"),
        (("force=[all]",), "'all', which is no stage"),
        (("force=maybe",), "force is 'maybe'"),
        (("device=[0,x]",), "device is [0, 'x']"),
        (("device=[]",), "device is []"),
        (("device=3",), "device is [3]"),
        (
            ("soc=310P3", "tool=onnxruntime"),
            "soc=310P3 (ascend) cannot be served by tool=onnxruntime, which serves cpu, cuda",
        ),
        (("benchmark.min_iterations=0",), "benchmark.min_iterations is 0"),
        (("benchmark.min_seconds=nan",), "benchmark.min_seconds is nan"),
        (("benchmark.max_seconds=0.1",), "benchmark.max_seconds is 0.1"),
        (("benchmark.input=zeros",), "benchmark.input is 'zeros'"),
        (("gates.fidelity.samples=0",), "gates.fidelity.samples is 0"),
        (("model.preprocess.interpolation=bicubik",), "bicubik"),
        (("model.preprocess.crop=225",), "225"),
        (("model.preprocess.std=[0.2,0.0,0.2]",), "std"),
        (("model.network._target_=torchvision",), "model.network._target_"),
        (("model.network._target_=zoo.nothing.Net",), "no module zoo.nothing"),
        (("model.outputs=[]",), "model.outputs are named []"),
        (("model.inputs=[{name:x,shape:[3,0,2]}]",), "shape is [3, 0, 2]"),
        (("model.inputs=[{name:x,shape:[3],dtype:float33}]",), "'float33'"),
        (("dataset=noise", "model.inputs=[{name:x,shape:[3],dtype:float33}]"), "'float33'"),
        (("dataset.metrics.top1.k=null", "+dataset.metrics.top1.kk=1"), "has no argument 'kk'"),
        (("dataset.scored_against=lables",), "'lables'"),
        (("dataset.reader.count=0",), "dataset.reader.count is 0"),
        (("tool.adapter.threads=-2",), "threads is -2"),
        (("weights=missing.pth",), "missing.pth does not exist"),
        (("weights=.",), "is a folder"),
    ],
)
def test_each_fault_names_the_key_and_the_value_and_says_what_to_do(arguments, told, faults) -> None:
    found = faults(*IMAGES, *arguments)
    assert any(told in fault for fault in found), found
    assert all("fix: " in fault for fault in found)


def test_all_faults_come_at_once(faults) -> None:
    found = faults("model=moco_v2", "batch=0", "limit=0", "soc=310", "tool=onnxruntime", "dataset=imagenet")
    for told in ("batch is 0", "limit is 0", "soc=310", "weights=auto", "dataset.root is not set"):
        assert any(told in fault for fault in found), told


def test_weights_without_a_url_are_told_where_they_are_got_and_where_to_put_them(faults, tmp_path) -> None:
    (fault,) = faults("model=moco_v2", "dataset=synthetic_images")
    assert "www.hiascend.com" in fault
    assert str(tmp_path / "checkpoints" / "model_lincls_best.pth.tar") in fault


def test_weights_in_checkpoints_are_taken(faults, tmp_path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "model_lincls_best.pth.tar").write_bytes(b"x")
    assert faults("model=moco_v2", "dataset=synthetic_images") == []


def test_weights_with_a_url_need_no_file(faults) -> None:
    assert faults("model=dcgan") == []


def test_too_little_disk_is_told_with_what_is_needed(faults, monkeypatch) -> None:
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: type("usage", (), {"free": 1 << 20}))
    (fault,) = faults(*IMAGES)
    assert "0.0 GiB free, the run needs about 0.3 GiB" in fault
    assert "cache_dir=DIR" in fault


def test_a_folder_that_does_not_exist_yet_is_judged_by_its_parent(tmp_path) -> None:
    assert preflight.existing_parent(tmp_path / "a" / "b") == Path(tmp_path)


def test_only_what_the_wanted_stages_need_is_checked(faults) -> None:
    assert faults("model=moco_v2", "weights=random", "soc=310P3", "stages=[weights,export,simplify]") == []


def test_what_a_wanted_stage_needs_is_checked_too(faults) -> None:
    assert len(faults("model=moco_v2", "stages=[benchmark]")) == 1


def test_inputs_are_judged_by_what_the_tool_can_measure_on(faults) -> None:
    found = faults(*IMAGES, "soc=310P3", "tool=benchmark", "benchmark.input=real")
    assert any("benchmark measures on data of its own" in fault for fault in found)


def test_a_tool_that_is_a_process_of_its_own_is_not_isolated(faults) -> None:
    found = faults(*IMAGES, "soc=310P3", "tool=ais_bench", "benchmark.isolate=true")
    assert any("ais_bench is a process of its own already" in fault for fault in found)


def test_a_benchmark_on_real_inputs_has_its_samples_checked(faults) -> None:
    only = ("model=moco_v2", "weights=random", "stages=[benchmark]")
    assert faults(*only) == []
    assert any("dataset.root is not set" in fault for fault in faults(*only, "benchmark.input=real"))


def test_aipp_without_an_ascend_card_is_a_fault(faults) -> None:
    (fault,) = faults(*IMAGES, "model.aipp=true")
    assert "soc=cpu is no Ascend card to normalise on" in fault
