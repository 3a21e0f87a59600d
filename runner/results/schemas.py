"""JSON Schemas of result.json and sweep.json, made of the types that write and read them.

`python -m runner.results.schemas` rewrites the files beside this module, after a change of the types.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from runner.core import write_atomically
from runner.results import result, sweeps

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILES = {"result.schema.json": (result.Result, result.SCHEMA), "sweep.schema.json": (sweeps.Sweep, sweeps.SCHEMA)}
"""The type and the number of the schema that each file in this folder describes."""


def text(kind: type, number: int) -> bytes:
    """Return the JSON Schema of the files that hold an object of a type, in the version with this number.

    Fields that have a default may be missing, as in files of earlier versions, but for the version itself.
    """
    whole: dict[str, Any] = {"$schema": DIALECT, **msgspec.json.schema(kind)}
    for definition in whole["$defs"].values():
        definition["description"] = " ".join(definition["description"].split("\n\n")[0].split())
    top = whole["$defs"][kind.__name__]
    top["properties"] = {name: field for name, field in top["properties"].items() if name not in result.NOT_WRITTEN}
    top["properties"]["schema"] = {"const": number}
    top["required"] = ["schema", *top["required"]]
    return result.as_json(whole)


if __name__ == "__main__":
    for name, (kind, number) in FILES.items():
        write_atomically(Path(__file__).parent / name, text(kind, number))
