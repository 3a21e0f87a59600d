import pytest

from runner import results
from runner.core import ConfigError
from runner.results import published


def test_published_figures_are_those_of_the_models_file(write_result, tmp_path) -> None:
    write_result("known")
    write_result("unknown", model="../model/dcgan")
    rows = published.of_results(results.find([tmp_path]).results)
    assert (rows["dcgan"][0].soc, rows["dcgan"][0].samples_per_second) == ("310", 10773.603)
    assert rows["../model/dcgan"] == ()


def test_a_model_without_a_file_has_the_figures_that_its_run_was_compared_with(write_result, tmp_path) -> None:
    row = "{soc: 310P3, batch: 1, samples_per_second: 100.0, source: a table}"
    write_result("run", model="mine").with_name("config.yaml").write_text(f"model: {{published: [{row}]}}")
    write_result("failed", model="mine", status="failed")
    assert [row.samples_per_second for row in published.of_results(results.find([tmp_path]).results)["mine"]] == [100.0]


@pytest.mark.parametrize(
    "config",
    [
        "",
        "model: [",
        "model: {}",
        "model: {published: [3]}",
        "model: {published: [{soc: cpu, batch: one}]}",
        "model: {published: [{soc: cpu, batch: 1, accuracy: 3}]}",
        "model: {published: [{batch: 1}]}",
        "- 1",
    ],
)
def test_a_run_whose_config_cannot_be_used_has_no_published_figures(config, write_result, tmp_path) -> None:
    write_result("run", model="mine").with_name("config.yaml").write_text(config)
    assert published.of_results(results.find([tmp_path]).results) == {"mine": ()}


@pytest.mark.parametrize(
    ("content", "told"), [("published: [{soc: [}", "cannot be read"), ("published: [3]", "published figures cannot")]
)
def test_a_models_file_that_is_broken_is_an_error(content, told, write_result, tmp_path) -> None:
    write_result("run", model="broken")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "broken.yaml").write_text(content)
    with pytest.raises(ConfigError, match=rf"broken\.yaml:? .*{told}"):
        published.of_results(results.find([tmp_path]).results, tmp_path)
