"""requirements.lock: the versions of constraints.txt, with the digests of their files."""

import configparser
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
UNLOCKED_EXTRAS = {"ray"}  # it conflicts with joblib's; the head of the lock says how

BLOCKS = re.split(r"\n(?=\S)", re.sub(r"^#.*\n", "", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE))
LOCKED = {canonicalize_name(block.partition("==")[0]): block for block in BLOCKS}
PINNED = {
    canonicalize_name(line.partition("==")[0]): line.partition("==")[2]
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if "==" in line
}


def asked_for() -> set[str]:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = [lines for name, lines in setup["options.extras_require"].items() if name not in UNLOCKED_EXTRAS]
    lines = "\n".join([setup["options"]["install_requires"], *extras]).splitlines()
    return {canonicalize_name(Requirement(line).name) for line in lines if line and not line.startswith("#")}


def version_of(block: str) -> str:
    return re.split(r"[ \\;]", block.partition("==")[2], maxsplit=1)[0]


def test_everything_that_is_asked_for_is_locked() -> None:
    assert asked_for() - set(LOCKED) == set()


def test_the_versions_are_those_that_were_tested() -> None:
    both = set(LOCKED) & set(PINNED)
    assert {name: version_of(LOCKED[name]) for name in both} == {name: PINNED[name] for name in both}


@pytest.mark.parametrize("name", sorted(LOCKED))
def test_each_package_has_digests_and_no_address(name: str) -> None:
    words = LOCKED[name].replace("\\\n", " ").split(" ; ")
    assert re.search(r"(\s+--hash=sha256:[0-9a-f]{64})+\s*$", words[-1])
    assert "://" not in LOCKED[name]
    assert "@" not in LOCKED[name]
