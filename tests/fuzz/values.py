"""Values as a YAML file may hold them, JSON as a tool may write it, and bytes that were once a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

INTERPOLATIONS = [
    *["${oc.env:HOME}", "${oc.env:NO_SUCH_VARIABLE}", "${model}", "${model.name}", "${model.network}", "${dataset}"],
    *["${nope}", "${.}", "${..}", "${", "${}", "${a", "${oc.decode:'['}", "${os.system:ls}", "\\${x}", "???"],
    *["${${model.name}}", "${model.${model.task}}", "${hydra:runtime.cwd}", "${now:%Y}", "${oc.select:x,${y}}"],
    *["${oc.create:{a: 1}}", "${library:timm,resnet18,name}", "${library:timm,${model.arch},url}", "${library:os,x,y}"],
]
ODD = [
    "",
    " ",
    "\n",
    "\0",
    "~",
    "null",
    "-",
    "--x",
    "/",
    "..",
    "../..",
    "a/b",
    "\ud800",
    "é汉🙂",
    "x" * 5000,
    "%s",
    "{0}",
    "1e999",
]
NAMES = [
    "name",
    "_target_",
    "os.system",
    "zoo.dqn.NatureDQN",
    "torch.nn.Linear",
    "runner.core.process.run",
    "timm.create_model",
]
NUMBERS = [0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**30, 0.0, -0.0, 1e-320, 1e308, float("nan"), float("inf"), -1.5]

scalars = st.one_of(
    st.sampled_from([None, True, False]),
    st.sampled_from(NUMBERS),
    st.integers(),
    st.floats(),
    st.sampled_from([*INTERPOLATIONS, *ODD, *NAMES]),
    st.text(max_size=20),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from([*NAMES, *ODD]), st.text(max_size=5)), inner, max_size=4),
    ),
    max_leaves=12,
)


@st.composite
def mixed(draw: st.DrawFn, content: Any, one_in: int = 6) -> bytes:
    """JSON of the right shape in which about one value of so many is any."""

    def walk(node: Any) -> Any:
        if draw(st.integers(1, one_in)) == 1:
            return draw(values)
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items()}
        return [walk(value) for value in node] if isinstance(node, list) else node

    return json.dumps(walk(content)).encode()


def damage(content: bytes, steps: Sequence[tuple[int, int, bytes, bool]]) -> bytes:
    """Replace bytes, (start, length, replacement, whether all that follows is cut off) a step."""
    for start, length, replacement, cut in steps:
        start %= len(content) + 1
        content = content[:start] + replacement + (b"" if cut else content[start + length :])
    return content


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """A file that was cut, or had bytes changed, added, removed or doubled in some places."""
    step = st.tuples(
        st.integers(0, max(len(content), 1)),
        st.integers(0, 16),
        st.binary(max_size=16),
        st.sampled_from([False] * 7 + [True]),
    )
    return st.lists(step, min_size=1, max_size=4).map(lambda steps: damage(content, steps))
