"""The flags of msit's 0.0.2 that the runner or a user may give, refused where the real one refuses.

It refuses files that others may write, links and odd characters, and several devices share inputs only if asked to.
"""

from __future__ import annotations

import argparse

import ais_bench_runs as runs


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ais_bench", allow_abbrev=False)
    parser.add_argument("--model", "-m", type=runs.readable, required=True)
    parser.add_argument("--input", "-i", type=runs.readable_folders)
    parser.add_argument("--output", "-o", type=runs.writable)
    parser.add_argument("--output_dirname", type=runs.writable)
    parser.add_argument("--outfmt", default="BIN", choices=["NPY", "BIN", "TXT"])
    parser.add_argument("--loop", "-l", type=runs.positive, default=1)
    parser.add_argument("--debug", type=runs.boolean, default=False)
    parser.add_argument("--device", "-d", type=runs.devices, default=[0])
    parser.add_argument("--batchsize", type=runs.positive)
    parser.add_argument("--warmup_count", "--warmup-count", type=int, default=1)
    parser.add_argument("--dymBatch", type=int, default=0)
    parser.add_argument("--dymHW")
    parser.add_argument("--dymDims")
    parser.add_argument("--dymShape")
    parser.add_argument("--outputSize")
    parser.add_argument("--profiler", type=runs.boolean, default=False)
    parser.add_argument("--acl_json_path", type=runs.readable)
    parser.add_argument("--aipp_config", type=runs.readable)
    parser.add_argument("--run_mode", default="array", choices=["array", "files", "tensor", "full"])
    parser.add_argument("--pure_data_type", default="zero", choices=["zero", "random"])
    parser.add_argument("--divide_input", type=runs.boolean, default=False)
    parser.add_argument("--threads", type=runs.positive, default=1)
    parsed = parser.parse_args()
    if parsed.output is None and parsed.output_dirname is not None:
        parser.error("parameter --output_dirname cann't be used alone")
    if parsed.outfmt != "BIN":
        parser.error("the stand-in writes BIN only")
    return parsed


def check_version() -> None:
    """As the real one: without pkg_resources, the version is a variable that was never set."""
    try:
        import pkg_resources

        version = pkg_resources.get_distribution("aclruntime").version
    except ImportError:
        print("[WARNING] can't find aclruntime, please visit gitee ait to install ais_bench(benchmark)", flush=True)
    if version != "0.0.2":
        print(f"[WARNING] aclruntime{version} version is lower please update", flush=True)


if __name__ == "__main__":
    given = arguments()
    check_version()
    for folder in given.input.split(",") if given.input else ():
        runs.check_files(folder)
    runs.run(given, divides=given.divide_input, folder_of=lambda device, index: f"device{device}_{index}")
