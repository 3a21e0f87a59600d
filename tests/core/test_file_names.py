"""A file name with spaces, quotes, newlines, `;` or a leading dash is just a file name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

ODD = [
    "two  words",
    'it\'s "quoted"',
    "semi;touch pwned;",
    "$(touch pwned)`touch pwned`",
    "line\nbreak",
    "-rf",
    "--config-dir=x",
    "Grüße 汉字 🙂",
    "a=b,c",
    "%s{0}[x]",
    "back\\slash\\",
    "~",
    "#hash & | > *?",
]


def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def save_pictures(folder: Path, names: list[str]) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    for name in names:
        Image.fromarray(noise).save(folder / f"{name}.png")


def in_one_line(name: str) -> bool:
    return "\n" not in name


def test_pictures_may_have_any_name(run_tiny, tiny_zoo: Path) -> None:
    names = [name for name in ODD if in_one_line(name) and "." not in name]
    save_pictures(tiny_zoo / "data" / "val", names)
    (tiny_zoo / "data" / "val_label.txt").write_text("".join(f"{name}.png 1\n" for name in names))
    run_tiny("weights=random", "stages=[score]", pictures="data")
    with np.load(result(tiny_zoo / "out")["artifacts"]["predictions"]) as arrays:
        assert set(arrays["ids"]) == set(names)
    assert not list(tiny_zoo.rglob("pwned"))


def test_pictures_in_class_folders_may_have_any_name_at_all(run_tiny, tiny_zoo: Path) -> None:
    names = [name for name in ODD if "." not in name]
    save_pictures(tiny_zoo / "data" / "n01440764", names)
    run_tiny("weights=random", "stages=[score]", pictures="data")
    with np.load(result(tiny_zoo / "out")["artifacts"]["predictions"]) as arrays:
        assert set(arrays["ids"]) == set(names)


@pytest.mark.parametrize("name", ODD)
def test_every_path_on_the_command_line_may_be_odd(name: str, run_tiny, tiny_zoo: Path, quoted) -> None:
    place = tiny_zoo / "odd" / name
    save_pictures(place / "val", ["a", "b"])
    (place / f"{name}.txt").write_text("a.png 1\nb.png 2\n")
    run_tiny("weights=random", "stages=[weights]", "hydra.run.dir=first")
    weights = place / f"{name}.pth"
    weights.write_bytes(Path(result(tiny_zoo / "first")["artifacts"]["weights"]).read_bytes())

    run_tiny(
        f"weights={quoted(weights)}",
        f"dataset.labels={quoted(place / f'{name}.txt')}",
        f"cache_dir={quoted(place / 'cache')}",
        f"hydra.run.dir={quoted(place / 'run')}",
        "stages=[infer]",
        pictures=quoted(place),
    )

    found = result(place / "run")
    assert found["status"] == "ok"
    assert found["weights"]["path"] == os.fspath(weights)
    assert Path(found["artifacts"]["predictions"]).is_relative_to(place / "cache")
    assert not list(tiny_zoo.rglob("pwned"))


@pytest.mark.parametrize("name", ["-rf", "--", "-", "~", "a b;c"])
def test_a_relative_path_may_begin_as_an_option_does(name: str, run_tiny, tiny_zoo: Path) -> None:
    run_tiny("weights=random", "stages=[weights]", f"cache_dir='{name}'")
    assert (tiny_zoo / name / "weights").is_dir() or name == "~"
