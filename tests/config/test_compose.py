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
