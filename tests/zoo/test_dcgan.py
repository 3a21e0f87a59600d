import pytest
import torch

from runner.core.errors import CheckpointError
from zoo.dcgan import Generator, checkpoint_settings


@pytest.mark.parametrize("image_size", [28, 32])
def test_pictures_have_the_image_size(image_size: int) -> None:
    pictures = Generator(image_size=image_size).eval()(torch.zeros(2, 100, 1, 1))
    assert pictures.shape == (2, 1, image_size, image_size)


def test_pictures_stay_within_one() -> None:
    pictures = Generator()(100 * torch.randn(2, 100, 1, 1))
    assert pictures.abs().max() <= 1


def test_the_noise_is_taken_flat_as_well() -> None:
    network = Generator().eval()
    noise = torch.randn(2, 100, 1, 1)
    assert torch.equal(network(noise), network(noise.view(2, 100)))


def test_parameters_have_the_names_of_pytorch_gan() -> None:
    names = {name.rpartition(".")[0] for name in Generator().state_dict()}
    assert names == {"l1.0", "conv_blocks.0", *(f"conv_blocks.{index}" for index in (2, 3, 6, 7, 9))}


def test_the_later_batch_norms_have_the_eps_that_the_weights_were_trained_with() -> None:
    blocks = Generator().conv_blocks
    assert [blocks[index].eps for index in (0, 3, 7)] == [1e-5, 0.8, 0.8]


@pytest.mark.parametrize("image_size", [28, 32, 64])
def test_a_checkpoint_tells_its_image_size(image_size: int) -> None:
    assert checkpoint_settings(Generator(image_size=image_size).state_dict()) == {"image_size": image_size}


def test_rows_that_fit_no_image_size_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"\[129, 100\]"):
        checkpoint_settings({"l1.0.weight": torch.zeros(129, 100)})


def test_another_networks_checkpoint_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"none is l1\.0\.weight"):
        checkpoint_settings({"fc.weight": torch.zeros(2, 2)})


def test_an_image_size_that_no_upsampling_reaches_is_refused() -> None:
    with pytest.raises(ValueError, match="image_size is 30, not a multiple of 4"):
        Generator(image_size=30)
