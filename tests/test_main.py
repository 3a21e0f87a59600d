"""The command line as users type it, in processes of its own."""

import functools
import hashlib
import http.server
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

HEAVY = {
    "numpy",
    "torch",
    "torchvision",
    "timm",
    "onnx",
    "onnxsim",
    "onnxruntime",
    "matplotlib",
    "pandas",
    "gymnasium",
    "ale_py",
}
RANDOM = "weights=random"


def result(folder, run_dir: str = "out") -> dict:
    return json.loads((folder / run_dir / "result.json").read_text())


def statuses(found: dict) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in found["stages"]}


def python(*arguments: str, cwd, path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH", "")]))}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)


def imported(done: subprocess.CompletedProcess[str]) -> set[str]:
    """The top-level modules that `python -X importtime` saw."""
    names = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:"))
    return {name.split(".")[0] for name in names}


def test_a_run_writes_its_result_log_config_and_predictions(run_tiny, tiny_zoo) -> None:
    run_tiny(RANDOM)
    found = result(tiny_zoo)
    assert (found["status"], found["model"], found["soc"], found["tool"], found["batch"]) == (
        "ok",
        "tiny",
        "cpu",
        "onnxruntime",
        1,
    )
    assert statuses(found) == {
        "weights": "ran",
        "export": "ran",
        "simplify": "ran",
        "compile": "skipped",
        "prepare": "ran",
        "infer": "ran",
        "reference": "ran",
        "score": "ran",
        "benchmark": "ran",
    }
    assert found["accuracy"]["samples"] == 8
    assert found["fidelity"]["cosine"] == pytest.approx(1.0, abs=1e-6)
    assert {gate["name"]: gate["verdict"] for gate in found["gates"]}["accuracy.top1"] == "skip"
    assert {path.name for path in (tiny_zoo / "out").iterdir()} >= {"result.json", "run.log", "config.yaml"}
    with np.load(found["artifacts"]["predictions"]) as arrays:
        assert arrays["class"].shape == (8, 4)
        assert len(arrays["ids"]) == 8


def test_a_repeated_run_does_nothing_twice_and_gives_the_same_result(run_tiny, tiny_zoo, undisturbed) -> None:
    run_tiny(RANDOM)
    first = result(tiny_zoo)
    run_tiny(RANDOM)
    second = result(tiny_zoo)
    assert set(statuses(second).values()) == {"reused", "skipped"}
    for part in ("accuracy", "fidelity", "performance", "artifacts"):
        assert second[part] == first[part]


def test_folders_named_as_ours_where_a_user_works_are_no_matter(tmp_path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "zoo").mkdir()
    done = python("-m", "runner", "model=dqn", RANDOM, "stages=[weights]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_reused_run_imports_nothing_heavy(run_tiny, tiny_zoo, tiny_arguments, undisturbed) -> None:
    run_tiny(RANDOM)
    arguments = ["--config-dir", str(tiny_zoo / "conf"), RANDOM, "allow=[tiny_zoo]", *tiny_arguments]
    again = python("-X", "importtime", "-m", "runner", *arguments, cwd=tiny_zoo, path=str(tiny_zoo))
    assert again.returncode == 0, again.stdout + again.stderr[-2000:]
    assert set(statuses(result(tiny_zoo)).values()) == {"reused", "skipped"}
    assert "hydra" in imported(again)
    assert imported(again) & HEAVY == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cfg", "job", "model=dqn"],
        ["model=dqn", RANDOM, "dry_run=true"],
        ["model=moco_v2", "dry_run=true"],
    ],
)
def test_looking_imports_nothing_heavy(arguments, tmp_path) -> None:
    done = python("-X", "importtime", "-m", "runner", *arguments, cwd=tmp_path)
    assert done.returncode == 0
    assert "hydra" in imported(done)
    assert imported(done) & HEAVY == set()


def test_help_imports_neither_what_is_heavy_nor_hydra(tmp_path) -> None:
    done = python("-X", "importtime", "-m", "runner", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "runner" in imported(done)
    assert imported(done) & {*HEAVY, "hydra"} == set()


def test_another_batch_reuses_weights_onnx_and_samples(run_tiny, tiny_zoo) -> None:
    run_tiny(RANDOM)
    run_tiny(RANDOM, "batch=3")
    found = statuses(result(tiny_zoo))
    assert [name for name, status in found.items() if status == "ran"] == ["infer", "benchmark", "invariance"]


def test_another_batch_exports_anew_where_the_model_fixes_it(run_tiny, tiny_zoo) -> None:
    run_tiny(RANDOM, "model.export.fixed_batch=true")
    run_tiny(RANDOM, "model.export.fixed_batch=true", "batch=3")
    found = statuses(result(tiny_zoo))
    ran = [name for name, status in found.items() if status == "ran"]
    assert ran == ["export", "simplify", "infer", "benchmark", "invariance"]


def test_a_hook_whose_source_changed_redoes_what_calls_it(run_tiny, tiny_zoo) -> None:
    run_tiny(RANDOM)
    weights = tiny_zoo / "tiny.safetensors"
    weights.write_bytes(Path(result(tiny_zoo)["artifacts"]["weights"]).read_bytes())
    run_tiny(f"weights={weights}")
    network = tiny_zoo / "tiny_zoo" / "net.py"
    network.write_text(network.read_text().replace(".relu()", ".tanh()"))
    run_tiny(f"weights={weights}")
    found = statuses(result(tiny_zoo))
    assert (found["weights"], found["prepare"]) == ("reused", "reused")
    assert {found[name] for name in ("export", "simplify", "infer", "reference", "score", "benchmark")} == {"ran"}


def test_a_normalisation_that_changed_keeps_the_prepared_samples(run_tiny, tiny_zoo, undisturbed) -> None:
    run_tiny(RANDOM)
    run_tiny(RANDOM, "model.preprocess.mean=[0.5]")
    found = statuses(result(tiny_zoo))
    assert [name for name, status in found.items() if status == "ran"] == ["infer", "reference", "score"]


def test_a_crop_that_changed_prepares_anew(run_tiny, tiny_zoo, undisturbed) -> None:
    run_tiny(RANDOM)
    run_tiny(RANDOM, "model.preprocess.resize=9")
    found = statuses(result(tiny_zoo))
    assert [name for name, status in found.items() if status == "ran"] == ["prepare", "infer", "reference", "score"]


def test_an_artifact_whose_bytes_changed_is_made_again_and_said(run_tiny, tiny_zoo) -> None:
    run_tiny(RANDOM)
    with Path(result(tiny_zoo)["artifacts"]["predictions"]).open("r+b") as file:
        file.write(b"rot")
    done = run_tiny(RANDOM)
    assert statuses(result(tiny_zoo))["infer"] == "ran"
    assert "damaged" in done.stderr


def test_force_of_a_stage_redoes_that_one(run_tiny, tiny_zoo) -> None:
    run_tiny(RANDOM)
    run_tiny(RANDOM, "force=[benchmark]")
    found = statuses(result(tiny_zoo))
    assert [name for name, status in found.items() if status == "ran"] == ["benchmark"]


def test_force_redoes_everything(run_tiny, tiny_zoo) -> None:
    run_tiny(RANDOM)
    run_tiny(RANDOM, "force=true")
    assert set(statuses(result(tiny_zoo)).values()) == {"ran", "skipped"}


def test_stages_run_a_part(run_tiny, tiny_zoo) -> None:
    run_tiny(RANDOM, "stages=[weights,export,simplify]")
    found = result(tiny_zoo)
    ran = [name for name, status in statuses(found).items() if status == "ran"]
    assert ran == ["weights", "export", "simplify"]
    assert (found["accuracy"], found["gates"], found["artifacts"]["predictions"]) == (None, [], None)


def test_a_stage_brings_what_it_needs(run_tiny, tiny_zoo) -> None:
    run_tiny(RANDOM, "stages=[benchmark]")
    ran = [name for name, status in statuses(result(tiny_zoo)).items() if status == "ran"]
    assert ran == ["weights", "export", "simplify", "benchmark"]


def test_a_benchmark_runs_isolated_on_real_samples_and_keeps_its_latencies(run_tiny, tiny_zoo) -> None:
    run_tiny(RANDOM, "stages=[benchmark]", "benchmark.isolate=true", "benchmark.input=real")
    found = result(tiny_zoo)
    latencies_ms = json.loads((tiny_zoo / "out" / "latencies_ms.json").read_text())["latencies_ms"]
    assert statuses(found)["prepare"] == "ran"
    assert 2 <= found["performance"]["iterations"] <= len(latencies_ms)
    assert found["commands"] == []


def test_a_dry_run_shows_what_would_run_and_does_nothing(run_tiny, tiny_zoo) -> None:
    done = run_tiny(RANDOM, "dry_run=true")
    assert "known after weights" in done.stdout
    assert not (tiny_zoo / "outputs" / "cache" / "weights").exists()
    assert not (tiny_zoo / "out" / "result.json").exists()


def test_a_dry_run_shows_what_would_be_reused(run_tiny, undisturbed) -> None:
    run_tiny(RANDOM)
    done = run_tiny(RANDOM, "dry_run=true", "force=[score]")
    words = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in done.stdout.splitlines() if "│" in line}
    assert words == {
        "weights": "reused",
        "export": "reused",
        "simplify": "reused",
        "compile": "skipped",
        "prepare": "reused",
        "infer": "reused",
        "reference": "reused",
        "score": "run",
        "benchmark": "reused",
    }


def test_a_dry_run_shows_what_would_stop_it(run_tiny) -> None:
    done = run_tiny("dry_run=true", pictures="null")
    assert "would stop: weights=auto" in done.stdout
    assert "would stop: dataset.root is not set" in done.stdout


def test_a_gate_that_fails_exits_2(run_tiny, tiny_zoo) -> None:
    run_tiny(RANDOM, "model.fidelity.cosine=1.1", check=2)
    assert result(tiny_zoo)["status"] == "ok"


def test_a_sweep_runs_every_job_and_exits_with_the_largest_code(run_tiny, tiny_zoo) -> None:
    run_tiny("-m", RANDOM, "hydra.sweep.dir=sweep", "batch=1,3", "model.fidelity.cosine=1.1,0.9", check=2)
    codes = [[gate["verdict"] for gate in result(tiny_zoo, f"sweep/{job}")["gates"]][1] for job in range(4)]
    assert codes == ["fail", "pass", "fail", "pass"]


def test_a_failing_job_does_not_stop_the_sweep(run_tiny, tiny_zoo) -> None:
    run_tiny("-m", RANDOM, "hydra.sweep.dir=sweep", "batch=0,1", check=1)
    assert [result(tiny_zoo, f"sweep/{job}")["status"] for job in range(2)] == ["failed", "ok"]


def test_several_problems_are_told_at_once_without_a_traceback(run_tiny, tiny_zoo) -> None:
    done = run_tiny("limit=0", "batch=0", check=1)
    assert "batch is 0" in done.stderr
    assert "limit is 0" in done.stderr
    assert "weights=auto" in done.stderr
    error = result(tiny_zoo)["error"]
    assert error["stage"] == "preflight"
    first, *others = error["problems"]
    assert (first["message"], first["fix"].partition(" ")[0]) == ("batch is 0", "give")
    assert len(others) >= 2


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("model.opst=3", "opst"),
        ("model.export.opset=eleven", "eleven"),
        ("tool=onnxruntim", "onnxruntim"),
        ("soc=999", "999"),
        ("batch=big", "big"),
        ("batch=[", "batch=["),
        ("dataset.rot=x", "rot"),
        ("dry_run=perhaps", "perhaps"),
        ("seed=${nope}", "nope"),
        ("hydra.run.dir=${nope}", "nope"),
        ("soc=1.5", "1.5"),
        ("soc=[1,2]", "soc"),
        ("model.network.actons=3", "actons"),
        ("+modle=dqn", "did you mean model?"),
        ("+model.opst=3", "no key model.opst"),
        ("batch=-1", "batch is -1"),
    ],
)
def test_a_mistyped_line_is_named_without_a_traceback(argument, told, run_main, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in run_main("model=dqn", RANDOM, argument, check=1).stderr


def test_without_a_model_it_is_said_how_to_choose_one(run_main, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run_main(check=1)
    assert done.stderr.startswith("error: no model is chosen\n    fix: give model=NAME")
    assert "python -m runner.list model" in done.stderr


def test_a_checkpoint_that_would_run_code_is_refused_and_not_run(run_tiny, tiny_zoo) -> None:
    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tiny_zoo / "owned"),)

    (tiny_zoo / "bad.pth").write_bytes(pickle.dumps(Malicious()))
    done = run_tiny("weights=bad.pth", check=1)
    assert not (tiny_zoo / "owned").exists()
    assert "bad.pth" in done.stderr


def test_a_checkpoint_of_another_network_is_named(run_tiny, tiny_zoo) -> None:
    import torch

    torch.save({"head.weight": torch.zeros(2, 2)}, tiny_zoo / "other.pth")
    done = run_tiny("weights=other.pth", check=1)
    assert "other.pth" in done.stderr
    assert "head.weight" in done.stderr


def test_a_picture_cut_in_half_is_named_and_nothing_half_made_is_left(run_tiny, tiny_zoo) -> None:
    from PIL import Image

    pictures = tiny_zoo / "pictures" / "val"
    pictures.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    for name in ("a", "b"):
        Image.fromarray(noise).save(pictures / f"{name}.jpg")
    whole = (pictures / "b.jpg").read_bytes()
    (pictures / "b.jpg").write_bytes(whole[: len(whole) // 2])
    (tiny_zoo / "pictures" / "val_label.txt").write_text("a.jpg 0\nb.jpg 1\n")
    done = run_tiny(RANDOM, pictures=str(tiny_zoo / "pictures"), check=1)
    assert "b.jpg" in done.stderr
    assert not (tiny_zoo / "outputs" / "cache" / "prepare").exists()


def test_a_generator_leaves_its_pictures(run_main, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_main(
        "model=dcgan",
        "weights=random",
        "batch=4",
        "limit=10",
        "hydra.run.dir=out",
        "benchmark.min_seconds=0",
        "stages=[score]",
    )
    assert (tmp_path / "out" / "grid.png").read_bytes().startswith(b"\x89PNG")
    assert set(result(tmp_path)["accuracy"]) == {"mean_abs", "cosine", "acc", "samples"}


def test_the_guides_28_pixel_generator_works(run_main, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_main(
        "model=dcgan",
        "weights=random",
        "limit=3",
        "hydra.run.dir=out",
        "model.network.image_size=28",
        "stages=[score]",
    )
    with np.load(result(tmp_path)["artifacts"]["predictions"]) as arrays:
        assert arrays["image"].shape == (3, 1, 28, 28)


def test_dqn_plays_breakout_and_agrees_with_pytorch(run_main, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_main(
        "model=dqn",
        "weights=random",
        "limit=5",
        "hydra.run.dir=out",
        "benchmark.min_seconds=0",
    )
    assert result(tmp_path)["accuracy"] == {"action_agreement": 100.0, "samples": 5}


@pytest.fixture
def served(tmp_path) -> Iterator[str]:
    """The URL of a server of the files in tmp_path."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def checkpoint(tiny_zoo) -> Path:
    """A checkpoint of the tiny network, wrapped and prefixed as training scripts save it."""
    import torch

    sys.modules.pop("tiny_zoo.net", None)
    from tiny_zoo.net import Tiny

    state_dict = {f"module.{name}": value for name, value in Tiny().state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state_dict}, tiny_zoo / "trained.pth")
    return tiny_zoo / "trained.pth"


def test_a_checkpoint_in_its_published_layout_is_taken(run_tiny, tiny_zoo) -> None:
    run_tiny(f"weights={checkpoint(tiny_zoo)}", "gates.accuracy.enabled=false")
    found = result(tiny_zoo)
    assert found["weights"]["origin"] == "file"
    assert found["fidelity"]["top1_agreement"] == 100.0


def test_declared_weights_are_downloaded_once(run_tiny, tiny_zoo, served, monkeypatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    digest = hashlib.sha256(checkpoint(tiny_zoo).read_bytes()).hexdigest()
    declared = (
        f"model.checkpoint.url={served}/trained.pth",
        f"model.checkpoint.sha256='{digest}'",
        "gates.accuracy.enabled=false",
    )
    run_tiny(*declared)
    assert result(tiny_zoo)["weights"]["origin"] == "url"
    assert result(tiny_zoo)["weights"]["sha256"] == digest
    (tiny_zoo / "trained.pth").unlink()
    run_tiny(*declared)
    assert statuses(result(tiny_zoo))["weights"] == "reused"


def test_a_download_with_another_hash_is_refused(run_tiny, tiny_zoo, served, monkeypatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    checkpoint(tiny_zoo)
    done = run_tiny(f"model.checkpoint.url={served}/trained.pth", f"model.checkpoint.sha256='{'0' * 64}'", check=1)
    assert f"expected {'0' * 64}" in done.stderr
    assert result(tiny_zoo)["error"]["stage"] == "weights"


def test_the_file_in_checkpoints_goes_before_the_url(run_tiny, tiny_zoo) -> None:
    trained = checkpoint(tiny_zoo)
    (tiny_zoo / "checkpoints").mkdir()
    trained.rename(tiny_zoo / "checkpoints" / "tiny.pth")
    run_tiny("model.checkpoint.url=https://127.0.0.1:1/none.pth", "gates.accuracy.enabled=false")
    assert result(tiny_zoo)["weights"]["path"] == str(tiny_zoo / "checkpoints" / "tiny.pth")


@pytest.mark.parametrize("kept", [0, 0.5, 0.99])
def test_a_truncated_checkpoint_is_named(kept, run_tiny, tiny_zoo) -> None:
    trained = checkpoint(tiny_zoo)
    whole = trained.read_bytes()
    trained.write_bytes(whole[: int(kept * len(whole))])
    assert "trained.pth" in run_tiny(f"weights={trained}", check=1).stderr
    assert not list((tiny_zoo / "outputs" / "cache").glob("export/*"))


def test_a_sweep_ends_with_one_table_of_all_its_jobs(run_tiny, tiny_zoo) -> None:
    done = run_tiny("-m", RANDOM, "hydra.sweep.dir=sweep", "batch=1,3")
    assert "samples/s" in done.stdout
    assert "best" in done.stdout
    shared = [statuses(result(tiny_zoo, f"sweep/{job}")) for job in range(2)]
    assert [job["weights"] for job in shared] == ["ran", "reused"]
    assert [job["export"] for job in shared] == ["ran", "reused"]
    assert [job["prepare"] for job in shared] == ["ran", "reused"]


def test_a_sweep_names_the_jobs_that_failed(run_tiny) -> None:
    done = run_tiny("-m", RANDOM, "hydra.sweep.dir=sweep", "batch=0,1", check=1)
    assert "batch 0" in done.stdout
    assert "batch is 0" in done.stdout


def test_an_interrupted_sweep_tells_what_is_done_and_resumes(run_tiny, tiny_zoo, monkeypatch, undisturbed) -> None:
    from runner.pipeline import execute

    real = execute.make

    def interrupted(stage, inputs, out):
        if stage.name == "infer" and stage.spec.batch == 3:
            raise KeyboardInterrupt
        return real(stage, inputs, out)

    monkeypatch.setattr(execute, "make", interrupted)
    done = run_tiny("-m", RANDOM, "hydra.sweep.dir=sweep", "batch=1,3,4", check=1)
    assert "interrupted" in done.stderr
    assert "samples/s" in done.stdout
    assert result(tiny_zoo, "sweep/1")["error"]["message"] == "interrupted"
    monkeypatch.setattr(execute, "make", real)
    run_tiny("-m", RANDOM, "hydra.sweep.dir=sweep", "batch=1,3,4")
    assert set(statuses(result(tiny_zoo, "sweep/0")).values()) == {"reused", "skipped"}


def test_another_batch_size_is_set_beside_the_first(run_tiny, tiny_zoo) -> None:
    run_tiny(RANDOM)
    run_tiny(RANDOM, "batch=3")
    gates = {gate["name"]: gate for gate in result(tiny_zoo)["gates"]}
    assert gates["batch_invariance.class"]["verdict"] == "pass"
    assert gates["batch_invariance.class"]["source"] == "the same samples at batch 1"


def test_garbage_is_collected_once_a_job_runs_and_all_of_it_at_exit_where_triton_would_report_it(tmp_path) -> None:
    code = """
import gc, sys
from runner import __main__ as command_line
from runner.pipeline import job

job.run_job = lambda config, folder, keeps_refused: print("collected", gc.isenabled()) or 0
sys.argv = ["runner", "model=dqn"]
sys.modules["triton"] = None
command_line.main()
print("kept from being freed at exit", gc.get_freeze_count())
"""
    done = python("-c", code, cwd=tmp_path)
    assert done.stdout.splitlines() == ["collected True", "kept from being freed at exit 0"], done.stderr
