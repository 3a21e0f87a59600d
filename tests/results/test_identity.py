import json

import pytest

from runner.results import identity
from runner.results.result import decode


@pytest.fixture
def result(result_content):
    """A result made of a result.json's content with changes."""
    return lambda **changes: decode(json.dumps(result_content(**changes)).encode())


def test_overrides_that_only_steer_a_run_tell_nothing_apart(result) -> None:
    steering = ["stages=[score]", "force=true", "dry_run=false", "cache_dir=c", "allow=[a]", "hydra.verbose=true"]
    assert identity.job(result()) == identity.job(result(overrides=steering))


def test_what_a_result_says_itself_is_not_told_as_an_override(result) -> None:
    overrides = ["model=dcgan", "soc=310P3", "batch=1", "limit=10", "weights=auto", "tool.adapter.threads=2"]
    assert identity.overrides(result(overrides=overrides, limit=10)) == {"tool.adapter.threads": "2"}


def test_an_option_that_makes_up_its_name_is_told(result) -> None:
    overrides = ["model=timm", "model.arch=resnet18"]
    told = identity.overrides(result(model="timm-resnet18", overrides=overrides))
    assert told == {"model option": "timm", "model.arch": "resnet18"}


def test_weights_and_device_are_told_where_the_run_did_not_reach_them(result) -> None:
    run = result(overrides=["weights=a.pth", "device=1"], status="failed", weights=None, performance=None)
    assert identity.overrides(run) == {"weights": "a.pth", "device": "1"}


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("seed=1", ("seed", "1")),
        ("+model.atc.log=info", ("model.atc.log", "info")),
        ("~model.guide", ("model.guide", "removed")),
        ("batch='4'", ("batch", "4")),
        ("dataset.root=a=b", ("dataset.root", "a=b")),
        ("dataset.labels=", ("dataset.labels", "''")),
    ],
)
def test_an_override_is_a_key_and_a_value(override: str, told: tuple[str, str]) -> None:
    assert identity.typed((override,)) == (told,)


def test_another_version_is_the_same_job(result) -> None:
    newer = result(environment={"cpu": "x", "packages": {"torch": "2.1"}})
    assert identity.job(result()) == identity.job(newer)
    assert identity.versions(result()) != identity.versions(newer)
