import pytest

from runner.core import ConfigError


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("benchmark=${dataset}", r"benchmark refers to a whole section of other keys \(name, "),
        ("model.onnx=${dataset}", r"model\.onnx refers to a whole section"),
        ("model.onnx=${model.network}", r"model\.onnx refers to a whole section of other keys \(_target_"),
        ("dataset.metrics=${model}", r"dataset\.metrics refers to a whole section"),
        ("+dataset.reader.x=[1,${model}]", r"dataset\.reader\.x\[1\] refers to a whole section"),
    ],
)
def test_a_section_that_stands_for_another_is_refused(run_config, override, told) -> None:
    with pytest.raises(ConfigError, match=told):
        run_config("model=dqn", override)


@pytest.mark.parametrize("node", ["decode", "network", "published"])
def test_a_text_that_stands_for_a_mapping_is_refused(run_config, node) -> None:
    with pytest.raises(ConfigError, match=rf"a value of another type: .*{node}"):
        run_config("model=dqn", f"model.{node}=${{model.name}}")


@pytest.mark.parametrize("group", ["model", "dataset", "soc", "tool"])
@pytest.mark.parametrize("name", ["''", "' '", "../x", "a/b", ".hidden", "a b"])
def test_a_name_that_no_folder_should_have_is_refused(run_config, group, name) -> None:
    with pytest.raises(ConfigError, match=rf"{group}\.name is .*\n? *fix: name it with letters"):
        run_config("model=dqn", f"{group}.name={name}")


def test_a_library_without_the_name_of_a_network_is_refused(run_config) -> None:
    with pytest.raises(ConfigError, match=r"model=smp stands for any network .*\n? *fix: name it: model\.arch=NAME"):
        run_config("model=smp", "dataset=synthetic_shapes")
