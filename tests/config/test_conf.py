"""Every option of every group, resolved, as a review sees it: tests/golden/<group>/<option>.yaml."""

from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from runner.config import libraries
from runner.config.groups import CONF, GROUPS

GOLDEN = Path(__file__).parents[1] / "golden"
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((CONF / group).glob("*.yaml"))]


def chosen(group: str, option: str) -> list[str]:
    """An option as it is typed; one that stands for any network of a library, with the name of one."""
    any_network = group == "model" and option in libraries.LISTED_BY
    return [f"{group}={option}", *(["model.arch=resnet18"] if any_network else [])]


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=["/".join(option) for option in OPTIONS])
def test_the_resolved_config_is_the_golden_one(group: str, option: str, composed, request) -> None:
    model = [] if group == "model" else ["model=squeezenet1_0"]
    config = OmegaConf.to_container(composed(*model, *chosen(group, option))[group], resolve=True, enum_to_str=True)
    config.pop("published", None)  # figures resolve to themselves
    assert_golden(OmegaConf.create(config), GOLDEN / group / f"{option}.yaml", request)


def test_a_whole_configuration_is_the_golden_one(composed, request) -> None:
    assert_golden(composed("model=dcgan", "soc=310P3", "batch=4"), GOLDEN / "dcgan_on_310P3.yaml", request)


@pytest.mark.parametrize(("model", "dataset"), [("dqn", "atari"), ("dcgan", "noise"), ("moco_v2", "imagenet")])
def test_a_model_brings_its_data_set(model, dataset, composed) -> None:
    assert composed(f"model={model}").dataset.name == dataset


def assert_golden(config: DictConfig, golden: Path, request) -> None:
    resolved = OmegaConf.to_yaml(config, resolve=True)
    if request.config.getoption("--regenerate-goldens"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(resolved)
    assert resolved == golden.read_text()


def test_no_golden_outlives_its_option() -> None:
    assert {(path.parent.name, path.stem) for path in GOLDEN.glob("*/*.yaml")} == set(OPTIONS)


def test_every_published_figure_names_its_source() -> None:
    rows = [row for path in (CONF / "model").glob("*.yaml") for row in OmegaConf.load(path).get("published", [])]
    assert len(rows) > 300
    assert all(row.source for row in rows)


@pytest.mark.parametrize(
    ("model", "soc", "batch", "samples_per_second"),
    [
        ("dqn", "310P3", 1, 8147.444),
        ("dcgan", "310", 32, 99208.283),
        ("dcgan", "t4", 8, 18339.4121),
        ("pnasnet5large", "310P3", 64, 148.531),
        ("dpn131", "310P3", 4, 550.0),
        ("moco_v2", "310P3", 32, 2607.27),
        ("moco_v2", "t4", 64, 1870.913),
    ],
)
def test_the_guides_throughputs_are_there(model, soc, batch, samples_per_second, run_config) -> None:
    rows = [row for row in run_config(f"model={model}").model.published if (row.soc, row.batch) == (soc, batch)]
    assert [row.samples_per_second for row in rows] == [samples_per_second]
