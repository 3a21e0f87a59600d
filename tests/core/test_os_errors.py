"""What the machine refuses: every place that writes names the path, the need and the way out, and spoils nothing."""

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from runner.core import StoreError, TensorSpec, Weights, files
from runner.core.os_errors import as_store_error, of_the_machine
from runner.data import Geometry, Picture, PictureSource, Request, pictures, storage
from runner.pipeline import execute
from runner.results import result as results
from runner.store import Store, manifests

SHORT = ("model=dcgan", "weights=random", "stages=[weights]")
REFUSALS = {
    errno.ENOSPC: ("No space left on device", "make room there"),
    errno.EDQUOT: ("Disk quota exceeded", "get a larger quota"),
    errno.EROFS: ("Read-only file system", "mount it for writing"),
    errno.EACCES: ("Permission denied", "give this user permission"),
    errno.EMFILE: ("Too many open files", "ulimit -n 4096"),
    errno.EFBIG: ("File too large", "ulimit -f unlimited"),
    errno.EIO: ("Input/output error", "check the disk"),
}


def failing(number: int) -> Callable[..., None]:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", REFUSALS)
def test_a_refusal_names_the_place_and_the_way_out(tmp_path, number) -> None:
    told = as_store_error(OSError(number, os.strerror(number)), tmp_path / "a")
    assert told.message.startswith(f"{tmp_path / 'a'}: {REFUSALS[number][0]}")
    assert REFUSALS[number][1] in told.fix


def test_the_place_that_the_error_names_goes_before_the_one_that_was_thought_of(tmp_path) -> None:
    told = as_store_error(OSError(errno.EACCES, "Permission denied", "/root/x"), tmp_path)
    assert told.message == "/root/x: Permission denied"


def test_a_full_disk_names_the_need_and_what_is_free(tmp_path) -> None:
    told = as_store_error(OSError(errno.ENOSPC, "full"), tmp_path / "not" / "there", needed_bytes=5_000_000)
    assert "(about 5.0 MB needed, " in told.message
    assert "B free)" in told.message


def test_too_many_open_files_names_how_many_there_may_be(tmp_path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert f"(this process may have {limit})" in as_store_error(OSError(errno.EMFILE, "many"), tmp_path).message


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.ENOSPC, "full"), errno.ENOSPC),
        (FileNotFoundError(errno.ENOENT, "gone"), None),
        (RuntimeError("I/O error: No space left on device (os error 28)"), errno.ENOSPC),
        (RuntimeError("no such file (os error 2)"), None),
        (ValueError("wrong"), None),
    ],
)
def test_what_the_machine_refuses_is_told_from_problems(error, number) -> None:
    found = of_the_machine(error)
    assert (None if found is None else found.errno) == number


@pytest.mark.parametrize("number", REFUSALS)
@pytest.mark.parametrize("call", ["fsync", "replace", "rename"])
def test_an_artifact_that_cannot_be_published_leaves_the_one_before_whole(
    tmp_path, monkeypatch, set_disk_call, number, call
) -> None:
    store = Store(tmp_path)

    def publish(text: str) -> Weights:
        out = store.staging_folder("weights", "k", resumes=False)
        (out / "a.pth").write_text(text)
        return store.publish("weights", "k", Weights(out / "a.pth", "digest", "url"), 1.0).artifact

    before = publish("before")
    with monkeypatch.context() as patched:
        set_disk_call(patched, call, failing(number))
        with pytest.raises(StoreError, match=REFUSALS[number][0]) as told:
            publish("after")
    assert str(tmp_path) in told.value.message
    if call == "rename":  # between the two renames there may be a moment in which only the successor is
        assert store.find("weights", "k", Weights) or store.recover("weights", "k", Weights)
    else:
        assert before.path.read_text() == "before"
        assert store.damage("weights", "k", Weights) is None
    assert publish("at last").path.read_text() == "at last"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EMFILE])
def test_a_stage_that_cannot_write_says_so_and_gives_its_room_back(run_main, tmp_path, monkeypatch, number) -> None:
    def half_made(stage, inputs, out):
        (out / "half").write_text("half")
        failing(number)()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(execute, "make", half_made)
    done = run_main("model=dqn", "weights=random", "stages=[export]", "hydra.run.dir=out", check=1)
    assert f"weights: {tmp_path}" in done.stderr
    assert REFUSALS[number][0] in done.stderr and REFUSALS[number][1] in done.stderr
    error = json.loads((tmp_path / "out" / "result.json").read_text())["error"]
    assert REFUSALS[number][0] in error["message"] and REFUSALS[number][1] in error["fix"]


@pytest.mark.parametrize("file", ["result.json", "config.yaml"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_run_folder_that_cannot_be_written_is_named_and_keeps_what_was_there(
    run_main, tmp_path, monkeypatch, number, file
) -> None:
    real = files.write_atomically

    def refuse(path: Path, data: bytes) -> None:
        failing(number)() if path.name == file else real(path, data)

    def make(stage, inputs, out):
        (out / "a").write_text("a")
        return Weights(out / "a", "digest", "random")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(execute, "make", make)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / file).write_text("before")
    monkeypatch.setattr(results, "write_atomically", refuse)
    monkeypatch.setattr("runner.pipeline.job.write_atomically", refuse)
    done = run_main(*SHORT, "hydra.run.dir=out", check=1)
    assert f"{tmp_path / 'out'}: {REFUSALS[number][0]}" in done.stderr
    assert "hydra.run.dir=DIR" in done.stderr
    assert (tmp_path / "out" / file).read_text() == "before"


@pytest.mark.parametrize("number", REFUSALS)
def test_pictures_that_cannot_be_written_name_the_array_and_its_size(tmp_path, monkeypatch, number) -> None:
    request = Request((TensorSpec("image", "float32", (3, 8, 8)),), Geometry(), None, 0)
    source = PictureSource(load=_picture, size_of=_size)
    given = [Picture("a", "a"), Picture("b", "b")]
    monkeypatch.setattr("runner.data._workers.core_count", lambda: 1)
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", failing(number))
        with pytest.raises(StoreError, match=f"cannot write {tmp_path}/image.npy: {REFUSALS[number][0]}") as told:
            pictures.write_pictures(source, given, request, tmp_path)
    assert ("about 512 bytes needed" in told.value.message) == (number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
    pictures.write_pictures(source, given, request, tmp_path)
    assert storage.open_array(tmp_path, "image").count == 2


def _picture(item: str) -> Image.Image:
    return Image.new("RGB", (8, 8))


def _size(item: str) -> tuple[int, int]:
    return 8, 8


@pytest.mark.parametrize("number", REFUSALS)
def test_a_report_that_cannot_be_written_is_named(tmp_path, monkeypatch, number) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.md").write_text("before")
    monkeypatch.setattr("runner.report.__main__.write_atomically", failing(number))
    with pytest.raises(StoreError, match=f"{tmp_path / 'out'}: {REFUSALS[number][0]}") as told:
        _write_report(tmp_path / "out", monkeypatch)
    assert "--out DIR" in told.value.fix
    assert (tmp_path / "out" / "report.md").read_text() == "before"


def _write_report(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.report import __main__ as module

    for part in ("markdown", "csv_file", "html_page"):
        for name in ("page", "text"):
            monkeypatch.setattr(getattr(module, part), name, lambda *told: "", raising=False)
    module._write(SimpleNamespace(sections=(), shown=()), out)  # type: ignore[arg-type]


def test_a_disk_without_room_for_the_digests_of_inputs_stops_nothing(tmp_path, monkeypatch) -> None:
    (tmp_path / "a").write_text("abc")
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    assert len(Store(tmp_path / "store").hash_files(tmp_path, [Path("a")])[0]) == 64


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_store_that_is_no_folder_is_named(run_main, tmp_path, monkeypatch, place) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    done = run_main(*SHORT, f"cache_dir={place}", "hydra.run.dir=out", check=1)
    assert f"{tmp_path / place}" in done.stderr
    assert "cache_dir=DIR" in done.stderr
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("arguments", [("hydra.run.dir=file",), ("hydra.run.dir=file/below",)])
def test_a_run_folder_that_is_no_folder_is_named(run_main, tmp_path, monkeypatch, arguments) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    done = run_main(*SHORT, *arguments, check=1)
    assert "file" in done.stderr and "hydra.run.dir=DIR" in done.stderr
    assert (tmp_path / "file").read_text() == "mine"


def test_a_sweep_folder_that_is_no_folder_is_named(run_main, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    done = run_main("-m", *SHORT, "batch=1,2", "hydra.sweep.dir=file", check=1)
    assert "file: File exists" in done.stderr and "hydra.sweep.dir=DIR" in done.stderr


@pytest.fixture
def mounted(tmp_path) -> Iterator[Callable[[str], Path]]:
    """A file system of its own, with mount options as given."""
    folders: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"mounted{len(folders)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if os.geteuid() or subprocess.run(command, capture_output=True, timeout=30).returncode:
            pytest.skip("this user may not mount")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=30)


def test_a_store_on_a_full_disk_is_named_with_the_need(run_main, tmp_path, monkeypatch, mounted) -> None:
    monkeypatch.chdir(tmp_path)
    small = mounted("size=1m")
    done = run_main(*SHORT, f"cache_dir={small}", "hydra.run.dir=out", check=1)
    assert f"weights: {small}" in done.stderr
    assert "No space left on device (about 268.4 MB needed, 1.0 MB free)" in done.stderr


def test_a_run_folder_on_a_full_disk_is_named(run_main, tmp_path, monkeypatch, mounted) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = mounted("size=4k")
    done = run_main(*SHORT, f"hydra.run.dir={tiny}/out", check=1)
    assert f"{tiny}/out: No space left on device (0 bytes free)" in done.stderr


def test_a_run_folder_that_fills_up_meanwhile_is_named(run_main, tmp_path, monkeypatch, mounted) -> None:
    small = mounted("size=128k")

    def make(stage, inputs, out):
        (out / "a").write_text("a")
        with (small / "other").open("wb", buffering=0) as file:
            while file.write(bytes(4096)) == 4096:
                pass
        return Weights(out / "a", "digest", "random")

    def fill(stage, inputs, out):
        try:
            return make(stage, inputs, out)
        except OSError:
            return Weights(out / "a", "digest", "random")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(execute, "make", fill)
    done = run_main(*SHORT, f"hydra.run.dir={small}", check=1)
    assert f"{small}: No space left on device" in done.stderr
    assert not (small / "result.json").exists()
    assert not list(small.glob(".*.partial"))


@pytest.mark.parametrize("option", ["cache_dir", "hydra.run.dir", "hydra.sweep.dir"])
def test_a_folder_that_is_only_read_is_named(run_main, tmp_path, monkeypatch, mounted, option) -> None:
    monkeypatch.chdir(tmp_path)
    readable = mounted("ro")
    arguments = ("-m", *SHORT, "batch=1,2") if option == "hydra.sweep.dir" else SHORT
    done = run_main(*arguments, f"{option}={readable}/x", check=1)
    assert f"{readable}/x" in done.stderr
    assert "Read-only file system" in done.stderr
    assert f"{option}=DIR" in done.stderr


def test_a_store_that_is_only_read_is_reused_whole(run_tiny, tiny_zoo, mounted) -> None:
    store = mounted("size=1g")
    run_tiny("weights=random", f"cache_dir={store}")
    subprocess.run(["mount", "-o", "remount,ro", store], check=True, timeout=30)
    run_tiny("weights=random", f"cache_dir={store}")
    found = json.loads((tiny_zoo / "out" / "result.json").read_text())
    assert {stage["status"] for stage in found["stages"]} == {"reused", "skipped"}
    assert found["status"] == "ok"


FEW_FILES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv.pop(1)),) * 2)
from runner.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("limit", [5, 6, 7, 8])
def test_too_few_open_files_end_in_a_message_or_in_the_result(tmp_path, limit) -> None:
    command = [sys.executable, "-c", "from runner.pipeline import app, dry_run, job\n" + FEW_FILES]
    arguments = [str(limit), "model=dqn", "weights=/nowhere", "stages=[weights]", "hydra.run.dir=out"]
    done = subprocess.run([*command, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Too many open files" in done.stderr or "/nowhere" in done.stderr


def test_a_file_that_may_not_grow_is_named(tmp_path) -> None:
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20,) * 2)\n"
    code += "import sys; from runner.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-c", code, *SHORT, "hydra.run.dir=out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "File too large (about 268.4 MB needed, 1.0 MB allowed)" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["cache_dir=file"], ["cache_dir=file/x"], [f"cache_dir={'n' * 300}"], [f"cache_dir={'n' * 300}", "dry_run=true"]],
)
def test_a_cache_dir_that_cannot_be_a_folder_is_named(arguments, run_main, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    cache_dir = arguments[0].removeprefix("cache_dir=")
    told = run_main(*SHORT, *arguments, check=1).stderr
    assert str(tmp_path / cache_dir) in told
    assert "fix: choose another folder with cache_dir=DIR, one that is a folder or can be made" in told


def test_notes_have_the_suffix_that_the_store_leaves_out() -> None:
    assert pictures.JOURNAL.endswith(manifests.NOTE_SUFFIX)


def test_a_file_larger_than_the_file_system_takes_is_told_so(tmp_path: Path) -> None:
    error = OSError(errno.EFBIG, "File too large")
    told = as_store_error(error, tmp_path / "file", needed_bytes=10**15)
    assert "about 1.0 PB needed, more than the file system takes" in told.message
