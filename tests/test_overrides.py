import pytest

from runner import overrides


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
        ("model=dcgan,dqn", "model=dcgan,dqn"),
        ("model=glob(*)", "model=glob(*)"),
        ("seed=7", "seed=7"),
        ("batch.size=7", "batch.size=7"),
        ("--multirun", "--multirun"),
        ("batch=[", "batch=["),
    ],
)
def test_numbers_that_name_an_option_are_quoted_and_nothing_else(typed: str, adapted: str) -> None:
    assert overrides.adapt([typed]) == [adapted]


def test_help_needs_no_model() -> None:
    assert overrides.adapt(["--help"]) == ["--help", "~model"]


def test_help_with_a_model_keeps_it() -> None:
    assert overrides.adapt(["--help", "model=dqn"]) == ["--help", "model=dqn"]


def test_any_batch_size_is_an_option_listed_or_not(run_config) -> None:
    assert run_config("model=dqn", "batch=7").batch.size == 7


def test_a_batch_in_quotes_is_an_option_too(run_config) -> None:
    assert run_config("model=dqn", "batch='9'").batch.size == 9
