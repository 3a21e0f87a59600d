import sys

import pytest

from runner.config import compose
from runner.core import ConfigError


@pytest.mark.parametrize("folder", ["conf", "it's a [conf], ${x}"])
def test_options_of_a_users_folder_are_composed_and_their_hooks_found_where_allowed(
    folder, tiny_zoo, monkeypatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tiny_zoo / "conf").rename(tiny_zoo / folder)
    arguments = ["model=tiny", "--config-dir", str(tiny_zoo / folder)]
    assert compose.compose(arguments).model.name == "tiny"
    assert str(tiny_zoo) not in sys.path
    compose.compose([*arguments, "allow=[tiny_zoo]"])
    assert sys.path[-1] == str(tiny_zoo)


def test_a_model_that_there_is_not_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean dcgan"):
        compose.compose(["model=dgcan"])


@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775809", "1" + "0" * 400])
def test_a_whole_number_beyond_64_bits_is_refused(number, run_config) -> None:
    with pytest.raises(ConfigError, match=r"seed is a whole number of \d+ bits, and 63 is the most"):
        run_config("model=dqn", f"seed={number}")


def test_the_largest_whole_number_of_64_bits_is_taken(run_config) -> None:
    assert run_config("model=dqn", "seed=9223372036854775807").seed == 2**63 - 1
