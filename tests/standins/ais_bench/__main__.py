"""`python3 -m ais_bench`: the flags of 0.0.2 that the runner may use, refused where the real one refuses."""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import front_end


def positive(text: str) -> int:
    value = int(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is an invalid positive int value")
    return value


def devices(text: str) -> list[int]:
    values = [int(part) for part in text.split(",")]
    if not all(0 <= value <= 255 for value in values):
        raise argparse.ArgumentTypeError(f"device:{text} is invalid. valid value range is [0, 255]")
    return values


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ais_bench", allow_abbrev=False)
    parser.add_argument("--model", "-m", required=True)
    parser.add_argument("--input", "-i")
    parser.add_argument("--output", "-o")
    parser.add_argument("--output_dirname")
    parser.add_argument("--outfmt", default="BIN", choices=["NPY", "BIN", "TXT"])
    parser.add_argument("--loop", "-l", type=positive, default=1)
    parser.add_argument("--device", "-d", type=devices, default=[0])
    parser.add_argument("--batchsize", type=positive)
    parser.add_argument("--warmup_count", type=int, default=1)
    parser.add_argument("--dymHW")
    parser.add_argument("--dymDims")
    parser.add_argument("--pure_data_type", default="zero", choices=["zero", "random"])
    parsed = parser.parse_args()
    if parsed.output is None and parsed.output_dirname is not None:
        parser.error("parameter --output_dirname cann't be used alone")
    if parsed.outfmt != "BIN":
        parser.error("the stand-in writes BIN only")
    return parsed


def main() -> None:
    given = arguments()
    front_end.misbehave()
    columns = [front_end.natural(folder) for folder in given.input.split(",")] if given.input else []
    several = len(given.device) > 1
    rates = []
    for index, device in enumerate(given.device):
        size = math.ceil(len(columns[0]) / len(given.device)) if columns else 0
        share = [column[index * size : (index + 1) * size] for column in columns]
        if columns and not share[0]:
            sys.exit("[ERROR] Invalid args.   of --input is invalid")
        folder = None
        if given.output is not None:
            folder = Path(given.output) / (given.output_dirname or time.strftime("%Y_%m_%d-%H_%M_%S"))
            folder = folder / f"device{device}" if several else folder
            folder.mkdir(parents=True, exist_ok=True)
        counts = (given.batchsize, given.loop, given.warmup_count)
        sizes = {"dym_hw": given.dymHW, "dym_dims": given.dymDims}
        done = front_end.run(given.model, device, share, folder, *counts, **sizes)
        front_end.report(done, folder.with_name(f"{folder.name}_summary.json") if folder else None)
        rates.append(done.throughput)
    if several:
        print(f"[INFO] summary throughput:{sum(rates)}")


main()
