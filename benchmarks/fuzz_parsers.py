"""Coverage-guided fuzzing of what reads strangers' files: `python -m benchmarks.fuzz_parsers PARSER -runs=100000`.

Needs atheris (`pip install atheris`), which changes the bytes so that they reach code that no bytes before reached. It
stops at the first input that ends otherwise than in an answer or a typed error, and writes it to a file crash-*.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["runner"]):
    from runner.config import yaml_files
    from runner.core import RunnerError
    from runner.graph import onnx_files
    from runner.networks.checkpoints import read_state_dict
    from runner.results import collection
    from runner.tasks.classification.image_folder import read_labels
    from runner.tasks.detection import coco, voc
    from runner.tasks.ocr_detection import icdar
    from runner.tasks.recognition.words import read_texts


def _sort_results(path: Path) -> None:
    found = collection.find([path])
    collection.newest(found.results)
    collection.failed(found.results)


PARSERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "result": ("result.json", _sort_results),
    "sweep": ("sweep.json", _sort_results),
    "yaml": ("model.yaml", yaml_files.load),
    "checkpoint": ("model.pth", read_state_dict),
    "onnx": ("model.onnx", onnx_files.load),
    "labels": ("val_label.txt", read_labels),
    "texts": ("labels.txt", read_texts),
    "coco": ("instances.json", coco._read),
    "voc": ("1.xml", lambda path: voc._read_annotations(path.parent, {"cat": 0}, "1")),
    "icdar": ("labels.txt", lambda path: icdar._of_list(path, ["a.png"])),
}
"""Name -> the name of its file, and the function that reads it."""


def main() -> None:
    """Fuzz the parser that the first argument names, with the others for libFuzzer; never return."""
    file_name, read = PARSERS[sys.argv.pop(1)]
    path = Path(tempfile.mkdtemp(prefix="fuzz-")) / file_name

    def try_out(content: bytes) -> None:
        path.write_bytes(content)
        try:
            read(path)
        except RunnerError as error:
            assert error.message

    atheris.Setup(sys.argv, try_out)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
