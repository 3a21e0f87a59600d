import pytest

from runner.config import overrides
from runner.core import ConfigError


@pytest.mark.parametrize(
    ("typed", "adapted"),
    [
        ("batch=32", "batch='32'"),
        ("soc=310", "soc='310'"),
        ("batch=0", "batch='0'"),
        ("batch=-1", "batch='-1'"),
        ("batch=1,4,8", "batch='1','4','8'"),
        ("batch=range(1,4)", "batch='1','2','3'"),
        ("batch=choice(2,4)", "batch='2','4'"),
        ("soc=310,cpu", "soc='310',cpu"),
        ("soc=310P3", "soc=310P3"),
        ("batch='32'", "batch='32'"),
        ("soc=Ascend310P3", "soc=310P3"),
        ("soc=Ascend310,Ascend310P3", "soc=310,310P3"),
        ("model=dcgan,dqn", "model=dcgan,dqn"),
        ("model=glob(*)", "model=glob(*)"),
        ("seed=7", "seed=7"),
        ("batch.size=7", "batch.size=7"),
        ("--multirun", "--multirun"),
        ("batch=[", "batch=["),
        ("batch=true", "batch='true'"),
        ("model=null", "model='null'"),
    ],
)
def test_numbers_that_name_an_option_are_quoted_and_nothing_else(typed: str, adapted: str) -> None:
    assert overrides.adapt([typed], list) == [adapted]


def test_a_pattern_in_a_sweep_is_the_options_that_match_it() -> None:
    assert overrides.adapt(["batch=glob(*,exclude=[1,6?])"], list) == ["batch=glob(*,exclude=[1,6?])"]
    assert overrides.adapt(["-m", "batch=glob(1*)"], list) == ["batch='1','16'", "--multirun"]
    assert overrides.adapt(["-m", "soc=glob(310P*)"], list) == ["soc=310P1,310P3", "--multirun"]


def test_a_pattern_that_matches_no_option_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no model has such a name"):
        overrides.adapt(["-m", "model=glob(zzz*)"], list)


def test_any_batch_size_is_an_option_listed_or_not(run_config) -> None:
    assert run_config("model=dqn", "batch=7").batch.size == 7


def test_a_batch_in_quotes_is_an_option_too(run_config) -> None:
    assert run_config("model=dqn", "batch='9'").batch.size == 9


def test_the_chip_that_is_there_is_found() -> None:
    assert overrides.adapt(["soc=auto"], lambda: ["310P3", "310P3"]) == ["soc='310P3'"]


@pytest.mark.parametrize(
    ("chips", "told"), [([], "names no chip"), (["310", "310P3"], "different chips, 310, 310P3"), (["999"], "999.yaml")]
)
def test_a_chip_that_cannot_be_told_is_an_error_with_the_choices(chips, told) -> None:
    with pytest.raises(ConfigError, match=told):
        overrides.adapt(["soc=auto"], lambda: chips)


def test_chips_are_looked_for_only_when_asked() -> None:
    overrides.adapt(["soc=310P3", "model=dqn"], lambda: pytest.fail("looked"))


@pytest.mark.parametrize("flag", [["--config-dir", "{}"], ["--config-dir={}"], ["-cd", "{}"]])
def test_a_folder_of_options_may_be_named_anywhere(flag: list[str], tmp_path) -> None:
    typed = ["model=dqn", *(word.format(tmp_path) for word in flag), "-m", "batch=1"]
    assert overrides.adapt(typed, list) == ["--config-dir", str(tmp_path), "model=dqn", "batch='1'", "--multirun"]


@pytest.mark.parametrize("typed", [["--config-dir", "nowhere"], ["--config-dir"], ["--config-dir="]])
def test_a_folder_of_options_that_is_not_there_is_an_error(typed: list[str]) -> None:
    with pytest.raises(ConfigError, match="there is no such folder"):
        overrides.adapt(["model=dqn", *typed], list)


def test_two_folders_of_options_are_an_error(tmp_path) -> None:
    with pytest.raises(ConfigError, match="given 2 times"):
        overrides.adapt(["--config-dir", str(tmp_path), "--config-dir", "/"], list)


def test_a_chip_of_a_users_own_is_found(tmp_path) -> None:
    (tmp_path / "soc").mkdir()
    (tmp_path / "soc" / "999.yaml").write_text("name: '999'")
    typed = ["soc=auto", "--config-dir", str(tmp_path)]
    assert overrides.adapt(typed, lambda: ["999"])[-1] == "soc='999'"
