import numpy as np
import pytest
from PIL import Image

from runner import cropped_resize
from runner.cropped_resize import resize_and_crop


def noise(width: int, height: int, seed: int = 1) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def plainly(picture: Image.Image, size: tuple[int, int], crop: int, interpolation: str) -> Image.Image:
    resized = picture.resize(size, Image.Resampling[interpolation.upper()])
    left, top = round((size[0] - crop) / 2), round((size[1] - crop) / 2)
    return resized.crop((left, top, left + crop, top + crop))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"])
@pytest.mark.parametrize(
    ("given", "size", "crop"),
    [
        ((500, 375), (341, 256), 224),
        ((375, 500), (256, 341), 224),
        ((500, 333), (348, 232), 224),
        ((100, 120), (363, 435), 331),
        ((300, 840), (256, 716), 224),
        ((256, 300), (256, 300), 224),
    ],
)
def test_every_sighting_gives_what_resizing_the_whole_gives(given, size, crop, interpolation) -> None:
    for seed in range(5):
        picture = noise(*given, seed)
        expected = plainly(picture, size, crop, interpolation)
        assert resize_and_crop(picture, size, crop, interpolation).tobytes() == expected.tobytes()


def test_a_geometry_that_comes_up_again_is_done_the_short_way(monkeypatch) -> None:
    taken = []
    short = cropped_resize._part
    monkeypatch.setattr(cropped_resize, "_part", lambda *arguments: taken.append(arguments[0]) or short(*arguments))
    pictures = [noise(400, 300, seed) for seed in range(4)]
    for picture in pictures:
        resize_and_crop(picture, (341, 256), 224, "bicubic")
    assert [any(picture is one for one in taken) for picture in pictures] == [False, False, True, True]


def test_a_pillow_whose_short_way_gives_other_values_is_used_the_long_way(monkeypatch) -> None:
    monkeypatch.setattr(cropped_resize, "_part", lambda picture, size, crop, method: Image.new("RGB", (crop, crop)))
    picture = noise(410, 300)
    for _ in range(4):
        cropped = resize_and_crop(picture, (349, 256), 224, "bilinear")
    assert cropped.tobytes() == plainly(picture, (349, 256), 224, "bilinear").tobytes()
