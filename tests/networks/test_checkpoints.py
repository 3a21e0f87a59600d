"""Checkpoints are read without running them, and loaded in the layouts that the five models were published in."""

import io
import pickle
import resource
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from runner.core import out_of_memory
from runner.core.errors import CheckpointError
from runner.networks.checkpoints import load, read_state_dict, state_dict_for
from runner.networks.network import CheckpointLayout
from zoo.dcgan import Generator
from zoo.dqn import NatureDQN


def layout(unwrap: tuple[str, ...] = (), background: str | None = None, **rename: str) -> CheckpointLayout:
    return CheckpointLayout(unwrap=unwrap, rename=rename, drop_background=background, settings=None)


def load_file(network: nn.Module, path: Path, how: CheckpointLayout) -> None:
    load(network, state_dict_for(read_state_dict(path), how), how, path)


def assert_same(network: nn.Module, expected: nn.Module) -> None:
    found, wanted = network.state_dict(), expected.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


class Classifier(nn.Module):
    """Features and a head named as the library's or as the publisher's."""

    def __init__(self, head: str = "classifier", classes: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
        self.add_module(head, nn.Conv2d(2, classes, 1))


# The published layouts.


def test_dqn_flat(tmp_path: Path) -> None:
    published, network = NatureDQN(), NatureDQN()
    torch.save(published.state_dict(), tmp_path / "dqn.pth")
    load_file(network, tmp_path / "dqn.pth", layout())
    assert_same(network, published)


@pytest.mark.parametrize("image_size", [28, 32])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_dcgan_under_g(tmp_path: Path, image_size: int, prefix: str) -> None:
    published, network = Generator(image_size), Generator(image_size)
    state = {f"{prefix}{name}": tensor for name, tensor in published.state_dict().items()}
    torch.save({"G": state, "D": {"other": torch.zeros(1)}}, tmp_path / "dcgan.pth")
    load_file(network, tmp_path / "dcgan.pth", layout(("G",)))
    assert_same(network, published)


def test_moco_under_state_dict_beside_its_optimizer(tmp_path: Path) -> None:
    published, network = torchvision.models.resnet50(), torchvision.models.resnet50()
    state = OrderedDict((f"module.{name}", tensor) for name, tensor in published.state_dict().items())
    optimizer = torch.optim.SGD(published.fc.parameters(), lr=30.0, momentum=0.9)
    torch.save(
        {
            "epoch": 100,
            "arch": "resnet50",
            "state_dict": state,
            "best_acc1": torch.tensor(67.5),
            "optimizer": optimizer.state_dict(),
        },
        tmp_path / "moco.pth.tar",
    )
    load_file(network, tmp_path / "moco.pth.tar", layout(("state_dict",)))
    assert_same(network, published)


def test_dpn131_with_its_head_under_another_name(tmp_path: Path) -> None:
    published, network = Classifier(head="last_linear"), Classifier(head="classifier")
    torch.save(published.state_dict(), tmp_path / "dpn.pth")
    load_file(network, tmp_path / "dpn.pth", layout(last_linear="classifier"))
    assert torch.equal(network.classifier.weight, published.last_linear.weight)


def test_pnasnet_with_a_background_class(tmp_path: Path) -> None:
    published, network = Classifier(classes=4), Classifier(classes=3)
    torch.save(published.state_dict(), tmp_path / "pnasnet.pth")
    load_file(network, tmp_path / "pnasnet.pth", layout(background="classifier"))
    assert torch.equal(network.classifier.weight, published.classifier.weight[1:])
    assert torch.equal(network.classifier.bias, published.classifier.bias[1:])


# Variations of them.


def test_a_background_layer_without_the_background_row_stays_whole(tmp_path: Path) -> None:
    published, network = Classifier(), Classifier()
    torch.save(published.state_dict(), tmp_path / "a.pth")
    load_file(network, tmp_path / "a.pth", layout(background="classifier"))
    assert_same(network, published)


def test_two_rows_too_many_are_no_background(tmp_path: Path) -> None:
    torch.save(Classifier(classes=5).state_dict(), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"classifier.weight is \[5, 2, 1, 1\], the network's is \[3, 2, 1, 1\]"):
        load_file(Classifier(), tmp_path / "a.pth", layout(background="classifier"))


def test_a_flat_file_is_taken_as_it_is_although_an_entry_is_named() -> None:
    assert state_dict_for({"w": torch.ones(1)}, layout(("state_dict", "G"))).keys() == {"w"}


def test_the_first_entry_that_holds_a_dict_is_unwrapped() -> None:
    raw = {"model": "resnet", "ema": {"w": torch.ones(1)}}
    assert state_dict_for(raw, layout(("model", "ema"))).keys() == {"w"}


def test_module_stays_where_not_every_name_has_it() -> None:
    raw = {"module.w": torch.ones(1), "w": torch.ones(1)}
    assert state_dict_for(raw, layout()).keys() == {"module.w", "w"}


def test_rename_stops_at_dots() -> None:
    raw = {"fc.weight": torch.ones(1), "fc2.weight": torch.ones(1)}
    assert state_dict_for(raw, layout(fc="head")).keys() == {"head.weight", "fc2.weight"}


def test_rename_to_nothing_takes_a_prefix_off() -> None:
    state = {"net.head.weight": torch.zeros(1), "nets.weight": torch.zeros(1)}
    assert state_dict_for(state, layout(net="")).keys() == {"head.weight", "nets.weight"}


def test_rename_onto_another_parameter_is_refused() -> None:
    with pytest.raises(CheckpointError, match="rename"):
        state_dict_for({"a.w": torch.ones(1), "b.w": torch.ones(1)}, layout(a="b"))


def test_without_parameters_the_entries_are_listed() -> None:
    with pytest.raises(CheckpointError, match="epoch, net") as caught:
        state_dict_for({"epoch": 3, "net": {"w": torch.ones(1)}}, layout())
    assert "model.checkpoint.unwrap" in caught.value.fix


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    network = Classifier()
    torch.save(Classifier().to(dtype).state_dict(), tmp_path / "a.pth")
    load_file(network, tmp_path / "a.pth", layout())
    assert network.classifier.weight.dtype == torch.float32


def test_counters_that_old_checkpoints_lack_are_not_missed(tmp_path: Path) -> None:
    state = {name: tensor for name, tensor in Classifier().state_dict().items() if "num_batches" not in name}
    torch.save(state, tmp_path / "a.pth")
    load_file(Classifier(), tmp_path / "a.pth", layout())


# Mismatches.


def test_missing_unexpected_and_misshapen_parameters_are_told_at_once(tmp_path: Path) -> None:
    state = Classifier(classes=7).state_dict()
    state["extra.weight"] = torch.ones(1)
    del state["features.0.bias"]
    path = tmp_path / "a.pth"
    with pytest.raises(CheckpointError) as caught:
        load(Classifier(), state, layout(), path)
    for part in (
        f"{path} is a checkpoint of another network (9 parameters in the file, 9 in the network)",
        "1 missing: features.0.bias",
        "1 unexpected: extra.weight",
        "2 of another shape: classifier.weight is [7, 2, 1, 1], the network's is [3, 2, 1, 1], classifier.bias is [7]",
    ):
        assert part in caught.value.message


def test_only_the_first_few_names_are_told() -> None:
    state = {f"layer{index}": torch.ones(1) for index in range(9)}
    with pytest.raises(CheckpointError, match="layer0, layer1, layer2, layer3 and 5 more"):
        load(Classifier(), state, layout(), Path("a.pth"))


def test_layers_that_ask_for_their_formats_version_are_told_the_newest(tmp_path: Path) -> None:
    network = torchvision.models.mnasnet0_5(weights=None)  # refuses a state dict without one
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    built = torchvision.models.mnasnet0_5(weights=None)
    load_file(built, tmp_path / "w.safetensors", layout())
    assert_same(built, network)


def test_whole_numbers_do_not_become_weights() -> None:
    state = Classifier().state_dict()
    state["classifier.bias"] = torch.ones(3, dtype=torch.int8)
    with pytest.raises(CheckpointError, match=r"classifier.bias is torch.int8"):
        load(Classifier(), state, layout(), Path("a.pth"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    state = Classifier().state_dict()
    state["features.0.bias"][1] = value
    with pytest.raises(CheckpointError, match=r"NaN or infinite.*features\.0\.bias"):
        load(Classifier(), state, layout(), Path("a.pth"))


@pytest.mark.parametrize(("value", "taken"), [(float("-inf"), True), (float("inf"), True), (float("nan"), False)])
def test_infinity_is_right_where_the_network_begins_with_it(value: float, taken: bool) -> None:
    network = Classifier()
    network.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    state = network.state_dict() | {"mask": torch.tensor([1.0, value])}
    with nullcontext() if taken else pytest.raises(CheckpointError, match="NaN or infinite values in 1 of"):
        load(network, state, layout(), Path("a.pth"))


# Files.


class Malicious:
    """A pickle of it creates a file when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_in_a_pickle_never_runs(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(pickle.dumps({"w": Malicious(tmp_path / "mark")}, protocol))
    with pytest.raises(CheckpointError, match="holds code"):
        read_state_dict(path)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_code_beside_the_weights_never_runs(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "a.pth"
    state = {"w": torch.ones(1), "hidden": Malicious(tmp_path / "mark")}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"holds code .*which is not run"):
        read_state_dict(path)
    assert not (tmp_path / "mark").exists()


def test_no_advice_to_run_the_code(tmp_path: Path) -> None:
    torch.save(Classifier(), tmp_path / "a.pth")
    with pytest.raises(CheckpointError) as caught:
        read_state_dict(tmp_path / "a.pth")
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_a_truncated_file_is_told(tmp_path: Path, zipped: bool, share: float) -> None:
    path = tmp_path / "a.pth"
    torch.save({"w": torch.ones(5000)}, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match="truncated or no checkpoint") as caught:
        read_state_dict(path)
    assert str(path) in caught.value.message and caught.value.fix


def test_a_truncated_safetensors_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"w": torch.ones(100)}, path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match="truncated or no checkpoint"):
        read_state_dict(path)


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html></html>", b"version https://git-lfs.github.com/spec/v1\n"])
@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_file_that_is_no_checkpoint_is_told(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="no checkpoint"):
        read_state_dict(tmp_path / name)


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.pth").touch()
    with pytest.raises(CheckpointError, match="is empty"):
        read_state_dict(tmp_path / "a.pth")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"there is no checkpoint .*a\.pth"):
        read_state_dict(tmp_path / "a.pth")


def test_a_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a file"):
        read_state_dict(tmp_path)


def test_a_bare_tensor_is_no_state_dict(tmp_path: Path) -> None:
    torch.save(torch.ones(3), tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="holds a Tensor"):
        read_state_dict(tmp_path / "a.pth")


def test_safetensors_are_known_by_their_content(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "a.bin")
    assert torch.equal(read_state_dict(tmp_path / "a.bin")["w"], torch.ones(2))


def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50 << 20))
    with pytest.raises(CheckpointError, match="would unpack to 52428800 bytes"):
        read_state_dict(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_are_never_unpacked_to_files(tmp_path: Path, name: str, kind: str) -> None:
    folder = tmp_path / "sub" / "checkpoints"
    folder.mkdir(parents=True)
    path = folder / "a.pth"
    if kind == "zip":
        torch.save({"w": torch.ones(1)}, path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, b"evil")
    else:
        with tarfile.open(path, "w") as tar:
            for member in (name, "storages", "tensors", "pickle"):
                tar.addfile(tarfile.TarInfo(member), io.BytesIO())
    before = {place for place in tmp_path.rglob("*")}
    with suppress(CheckpointError):
        read_state_dict(path)
    assert {place for place in tmp_path.rglob("*")} == before
    assert not Path("/tmp/outside").exists()


def test_a_checkpoint_of_torch_before_0_1_10_is_told(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.pth", "w") as tar:
        for member in ("storages", "tensors", "pickle"):
            tar.addfile(tarfile.TarInfo(member), io.BytesIO())
    with pytest.raises(CheckpointError, match=r"a\.pth"):
        read_state_dict(tmp_path / "a.pth")


# Checkpoints whose headers claim more than the file holds.


def saved(folder: Path, state: dict[str, Any]) -> Path:
    torch.save(state, folder / "e.pth")
    return folder / "e.pth"


def dqn_with(tensor: torch.Tensor) -> dict[str, Any]:
    return {**NatureDQN().state_dict(), next(iter(NatureDQN().state_dict())): tensor}


@pytest.mark.parametrize("elements", [10**9, 10**11, 10**17])
def test_a_view_of_any_size_is_told_by_its_shape_and_takes_no_memory(elements: int, tmp_path: Path) -> None:
    path = saved(tmp_path, dqn_with(torch.zeros(1, dtype=torch.float16).expand(elements)))
    limit = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 29), limit[1]))
    try:
        with pytest.raises(CheckpointError, match=f"another network(.|\n)*is \\[{elements}\\]"):
            load_file(NatureDQN(), path, layout())
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.eye(4).to_sparse(),
        torch.eye(4).to_sparse_csr(),
        torch.sparse_coo_tensor(torch.zeros(1, 1, dtype=torch.int64), torch.zeros(1), (10**15,)),
        torch.empty(10**15, device="meta"),
    ],
    ids=["coo", "csr", "coo of any size", "meta"],
)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_parameters_without_values_of_their_own_are_refused(tensor: torch.Tensor, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"1 of .* parameters are sparse"):
        load_file(NatureDQN(), saved(tmp_path, dqn_with(tensor)), layout())


def test_a_storage_of_any_size_is_blamed_on_the_file_and_not_on_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "e.pth"
    torch.save({"w": torch.zeros(1111)}, path, _use_new_zipfile_serialization=False)
    claimed = path.read_bytes().replace(b"M\x57\x04", b"\x8a\x07\x57\x04\x00\x00\x00\x00\x40")  # BININT2 to LONG1
    path.write_bytes(claimed)
    with pytest.raises(CheckpointError) as error:
        read_state_dict(path)
    assert out_of_memory.explained(error.value, "export", 1) is None


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16, torch.float64])
def test_any_floating_type_is_loaded_as_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    network = nn.Linear(2, 2)
    load_file(network, saved(tmp_path, {"weight": torch.ones(2, 2).to(dtype), "bias": torch.ones(2)}), layout())
    assert network.weight.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint64, torch.complex64, torch.bool, torch.qint8])
def test_another_kind_of_number_is_another_network(dtype: torch.dtype, tmp_path: Path) -> None:
    weight = torch.ones(2, 2)
    odd = torch.quantize_per_tensor(weight, 1.0, 0, dtype) if dtype == torch.qint8 else weight.to(dtype)
    with pytest.raises(CheckpointError, match="of another kind: weight"):
        load_file(nn.Linear(2, 2), saved(tmp_path, {"weight": odd, "bias": torch.ones(2)}), layout())


def test_values_that_torch_cannot_unpack_are_told(tmp_path: Path) -> None:
    header = b'{"weight":{"dtype":"F4","shape":[8],"data_offsets":[0,4]}}'
    path = tmp_path / "packed.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    network = nn.Module()
    network.weight = nn.Parameter(torch.zeros(4))
    with pytest.raises(CheckpointError, match=r"weight is torch\.float4_e2m1fn_x2, which torch cannot convert"):
        load(network, read_state_dict(path), layout(), path)
