import ast
from pathlib import Path

import pytest

from runner.tools.ascend import _front_end as front_end


@pytest.fixture
def source(tmp_path):
    def write(text: str) -> Path:
        (tmp_path / "main.py").write_text(text)
        return tmp_path / "main.py"

    return write


def test_flags_are_those_that_the_parser_is_given(source) -> None:
    path = source("""
parser.add_argument("--model", "-m", required=True, help="not --this")
parser.add_argument(
    "--warmup_count", "--warmup-count",
    default=1,
)
parser.add_argument(name)
print("--nor_this")
""")
    assert front_end.flags_of(path) == ["model", "warmup-count", "warmup_count"]


def test_no_flags_are_known_of_a_program_that_is_not_python(source) -> None:
    assert front_end.flags_of(source("\x00ELF add_argument('--model')")) == []


def test_no_flags_are_known_of_a_file_that_is_not_there(tmp_path) -> None:
    assert front_end.flags_of(tmp_path / "nowhere.py") == []


def test_the_oldest_python_of_the_wheels_can_run_it() -> None:
    ast.parse(Path(front_end.__file__).read_text(), feature_version=(3, 7))
