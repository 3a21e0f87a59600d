"""What the README shows is what is there."""

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.mark.slow
def test_the_model_in_the_readme_runs_from_a_folder_of_its_own(run_main, tmp_path, monkeypatch) -> None:
    (example,) = re.findall(r"```yaml\n(name: .*?)```", README, re.DOTALL)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text(example)
    monkeypatch.chdir(tmp_path)
    run_main("--config-dir", str(tmp_path), "model=mine", "weights=random", "stages=[export]")


def test_the_set_up_is_two_lines_and_ci_runs_the_second() -> None:
    (commands,) = re.findall(r"## Set-up\n.*?\n\n((?:    [^\n]*\n)+)", README, re.DOTALL)
    assert [line.strip() for line in commands.splitlines()] == [
        "pip install -e . && python -m runner model=dqn weights=random",
        "pip install -e '.[test]' && pytest -n auto",
    ]
    script = (Path(__file__).parents[2] / ".ci" / "run").read_text()
    assert "-e '.[test]'\n" in script
    assert script.endswith("pytest -n auto\n")


def test_the_options_in_the_readme_are_those_that_are_there() -> None:
    conf = Path(__file__).parents[2] / "conf"
    for group, told in re.findall(r"^\| `(dataset|soc|tool)` \| (.*) \|$", README, re.MULTILINE):
        options = {path.stem for path in (conf / group).glob("*.yaml")}
        assert set(re.findall(r"`([\w-]+)`", told)) - {"auto"} == options
