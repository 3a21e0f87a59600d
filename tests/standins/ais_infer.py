"""A stand-in for ais_infer.py as of 2022: one device, batch size 1 unless told, a summary inside a time-named folder.

STANDIN_AIS_INFER=oldest drops the last partial batch and tells no times, as the version of June 2022.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import front_end


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ais_infer.py", allow_abbrev=False)
    parser.add_argument("--model", "--om", required=True)
    parser.add_argument("--input", "-i")
    parser.add_argument("--output", "-o")
    parser.add_argument("--outfmt", default="BIN", choices=["NPY", "BIN"])
    parser.add_argument("--loop", "-r", type=int, default=1)
    parser.add_argument("--device_id", "--device", type=int, default=0, choices=range(255))
    parser.add_argument("--batchsize", type=int, default=1)
    parser.add_argument("--dymBatch", type=int, default=0)
    parser.add_argument("--dymHW")
    parser.add_argument("--dymDims")
    parser.add_argument("--dymShape")
    parser.add_argument("--outputSize")
    parser.add_argument("--pure_data_type", default="zero", choices=["zero", "random"])
    return parser.parse_args()


def main() -> None:
    given = arguments()
    front_end.misbehave()
    oldest = os.environ.get("STANDIN_AIS_INFER") == "oldest"
    folder = None
    if given.output is not None:
        folder = Path(given.output) / time.strftime("%Y_%m_%d-%H_%M_%S")
        folder.mkdir()
    columns = [front_end.natural(name) for name in given.input.split(",")] if given.input else []
    sizes = front_end.chosen_sizes(given)
    done = front_end.run(given.model, given.device_id, columns, folder, given.batchsize, given.loop, 1, oldest, **sizes)
    front_end.report(done, folder / "sumary.json" if folder else None, old=True)


if __name__ == "__main__":
    main()
