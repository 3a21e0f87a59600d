"""The commands that a dry run prints, flag for flag against those that the five guides type (shared/guides)."""

import shlex

import pytest

from runner.core import FileHashes
from runner.pipeline import commands
from runner.pipeline.plan import plan
from runner.pipeline.setup import Setup

SET_ENVIRONMENT = "source /usr/local/Ascend/ascend-toolkit/set_env.sh"

# What the guides type: files' own names are theirs, so only their kind is compared.
ATC = {"framework": "5", "input_format": "NCHW", "soc_version": "Ascend310P3"}
GUIDES = {
    "dqn": {
        "tool": "ais_infer",
        "batch": 1,
        "atc": ATC | {"input_shape": "input:1,4,84,84", "log": "error"},
        "infer": {"outfmt": "BIN", "batchsize": "1"},
        "measure": {"loop": "20", "batchsize": "1"},
    },
    "dcgan": {
        "tool": "ais_bench",
        "batch": 16,
        "atc": ATC | {"input_shape": "noise:16,100,1,1", "log": "error"},
        "infer": {"batchsize": "16"},
        "measure": {"batchsize": "16"},
    },
    "pnasnet5large": {
        "tool": "ais_bench",
        "batch": 4,
        "atc": ATC | {"input_shape": "image:4,3,331,331", "log": "error"},
        "infer": {"batchsize": "4", "device": "0"},
        "measure": {"batchsize": "4", "loop": "1000", "device": "0"},
    },
    "dpn131": {
        "tool": "ais_bench",
        "batch": 64,
        "atc": ATC | {"input_shape": "image:64,3,224,224", "log": "debug"},
        "infer": {"batchsize": "64"},
        "measure": {"batchsize": "64", "loop": "1000"},
    },
    "moco_v2": {
        "tool": "benchmark",
        "batch": 32,
        "atc": ATC | {"input_shape": "actual_input_1:32,3,224,224", "log": "info"},
        "infer": {
            "model_type": "vision",
            "batch_size": "32",
            "device_id": "0",
            "input_width": "224",
            "input_height": "224",
            "useDvpp": "False",
        },
        "measure": {"batch_size": "32", "device_id": "0"},
    },
}
FILES = {"model", "output", "input", "output_dirname", "om_path", "input_text_path"}
ADDED = {
    # by this runner: the default device said, outputs as BIN (each YAML's deviations), calls before the measured ones,
    # and a batch of files to measure on instead of the tool's own zeros
    "ais_infer": {"device", "outfmt"},
    "ais_bench": {"device", "outfmt", "warmup_count", "loop"},
    "benchmark": {"output_binary", "round"},
}


def flags(argv: list[str]) -> dict[str, str]:
    """--name=value, --name value and -name=value as a dict, behind the program."""
    start = next(index for index, word in enumerate(argv) if len(word) > 2 and word.startswith("-"))
    found: dict[str, str] = {}
    rest = iter(argv[start:])
    for word in rest:
        assert word.startswith("-"), argv
        name, equals, value = word.lstrip("-").partition("=")
        found[name] = value if equals else next(rest)
    return found


@pytest.fixture
def printed(run_config, tmp_path, monkeypatch):
    """The shell lines of a dry run."""
    monkeypatch.chdir(tmp_path)

    def lines(*arguments: str) -> list[list[str]]:
        setup = Setup(run_config(*arguments, "weights=random"))
        wanted = plan(setup, FileHashes(tmp_path / "hashes")).wanted(setup.config.stages)
        return [shlex.split(line, comments=True) for line in commands.shell_lines(setup, wanted, {})]

    return lines


@pytest.fixture(params=sorted(GUIDES))
def guide(request, printed):
    """What a guide types, and the lines printed for the same run."""
    told = GUIDES[request.param]
    lines = printed(f"model={request.param}", "soc=310P3", f"tool={told['tool']}", f"batch={told['batch']}")
    return told, [line for line in lines if line]


def test_the_environment_is_set_first(guide) -> None:
    _, lines = guide
    assert shlex.join(lines[0]) == SET_ENVIRONMENT


def test_atc_gets_the_flags_of_the_guide_and_no_other(guide) -> None:
    told, lines = guide
    assert lines[1][0] == "atc"
    found = flags(lines[1])
    assert {name: value for name, value in found.items() if name not in FILES} == told["atc"]
    assert found["model"].endswith(".onnx")
    assert not found["output"].endswith(".om")


@pytest.mark.parametrize(("line", "part"), [(2, "infer"), (3, "measure")])
def test_the_tool_gets_the_flags_of_the_guide(line, part, guide) -> None:
    told, lines = guide
    found = {name: value for name, value in flags(lines[line]).items() if name not in FILES}
    assert told[part].items() <= found.items()
    assert set(found) - set(told[part]) <= ADDED[told["tool"]]


def test_what_is_inferred_is_what_was_compiled(guide) -> None:
    _, lines = guide
    compiled = flags(lines[1])["output"] + ".om"
    for line in lines[2:]:
        found = flags(line)
        assert found.get("model", found.get("om_path")) == compiled


def test_every_model_says_where_it_deviates(run_config) -> None:
    for model in GUIDES:
        assert run_config(f"model={model}").model.deviations


def test_every_card_names_the_source_of_its_facts(run_config) -> None:
    for soc in ("310", "310P3", "310B4", "910B1", "910B2", "910B3", "910B4", "t4", "cuda"):
        assert run_config("model=dqn", f"soc={soc}").soc.source


@pytest.mark.parametrize(("soc", "tool"), [("310", "ais_bench"), ("310P3", "ais_bench"), ("t4", "trtexec")])
def test_a_card_picks_its_tool(soc, tool, run_config) -> None:
    assert run_config("model=moco_v2", f"soc={soc}").tool.name == tool


def test_the_command_line_picks_another_tool(run_config) -> None:
    assert run_config("model=moco_v2", "soc=310P3", "tool=benchmark").tool.name == "benchmark"


def test_a_stage_that_is_not_wanted_prints_no_command(printed) -> None:
    lines = printed("model=dcgan", "soc=310P3", "stages=[compile]")
    assert [line[0] for line in lines if line] == ["source", "atc"]


def test_a_t4_is_compiled_and_measured_by_trtexec(printed) -> None:
    lines = [line for line in printed("model=moco_v2", "soc=t4", "batch=8") if line]
    assert {line[0] for line in lines} == {"trtexec"}
    assert "--fp16" in lines[0]
