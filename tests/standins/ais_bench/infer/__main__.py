"""The flags of 0.0.2 of Ascend/tools that the runner or a user may give, refused where the real one refuses."""

from __future__ import annotations

import argparse

import ais_bench_runs as runs


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ais_bench", allow_abbrev=False)
    parser.add_argument("--model", "-m", required=True)
    parser.add_argument("--input", "-i")
    parser.add_argument("--output", "-o")
    parser.add_argument("--output_dirname")
    parser.add_argument("--outfmt", default="BIN", choices=["NPY", "BIN", "TXT"])
    parser.add_argument("--loop", "-l", type=runs.positive, default=1)
    parser.add_argument("--debug", type=runs.boolean, default=False)
    parser.add_argument("--device", "-d", type=runs.devices, default=[0])
    parser.add_argument("--batchsize", type=runs.positive)
    parser.add_argument("--warmup_count", type=int, default=1)
    parser.add_argument("--dymBatch", type=int, default=0)
    parser.add_argument("--dymHW")
    parser.add_argument("--dymDims")
    parser.add_argument("--dymShape")
    parser.add_argument("--outputSize")
    parser.add_argument("--profiler", type=runs.boolean, default=False)
    parser.add_argument("--acl_json_path")
    parser.add_argument("--run_mode", default="array", choices=["array", "files", "tensor", "full"])
    parser.add_argument("--pure_data_type", default="zero", choices=["zero", "random"])
    parsed = parser.parse_args()
    if parsed.output is None and parsed.output_dirname is not None:
        parser.error("parameter --output_dirname cann't be used alone")
    if parsed.outfmt != "BIN":
        parser.error("the stand-in writes BIN only")
    return parsed


if __name__ == "__main__":
    runs.run(arguments(), divides=True, folder_of=lambda device, index: f"device{device}")
