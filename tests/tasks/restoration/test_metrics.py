import math

import numpy as np
import pytest

from runner.core import ConfigError, DataError
from runner.tasks.restoration import Psnr, Ssim


def pictures(count=2, size=(20, 24), channels=3, seed=0):
    random = np.random.default_rng(seed)
    truths = random.integers(0, 256, (count, channels, *size), dtype=np.uint8)
    return np.clip(truths + random.normal(0, 20, truths.shape), 0, 255).astype(np.float32), truths


def value(metric, results, truths):
    metric.add(list(results), list(truths))
    (value,) = metric.compute().values()
    return value


def naive_ssim(left, right, padding, window=11, sigma=1.5, peak=255.0):
    """The definition, window by window: weighted means, variances and covariance at each pixel of each plane."""
    half = window // 2
    weights = np.array([[math.exp(-(y * y + x * x) / (2 * sigma**2)) for x in range(-half, half + 1)]
                        for y in range(-half, half + 1)])  # fmt: skip
    weights /= weights.sum()
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    values = []
    for a, b in zip(np.float64(left), np.float64(right), strict=True):
        if padding == "zero":
            a, b = np.pad(a, half), np.pad(b, half)
        for top in range(a.shape[0] - 2 * half):
            for start in range(a.shape[1] - 2 * half):
                x, y = (side[top : top + window, start : start + window] for side in (a, b))
                mx, my = (weights * x).sum(), (weights * y).sum()
                vx, vy = (weights * x * x).sum() - mx**2, (weights * y * y).sum() - my**2
                vxy = (weights * x * y).sum() - mx * my
                values.append((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return np.mean(values)


def test_psnr_of_a_known_difference():
    truths = np.zeros((1, 3, 4, 4), np.uint8)
    assert value(Psnr(), truths + np.float32(25.5), truths) == pytest.approx(20.0)


def test_psnr_is_the_mean_of_the_pictures_not_of_their_errors():
    truths = np.zeros((2, 1, 4, 4), np.uint8)
    results = np.stack([np.full((1, 4, 4), 2.55), np.full((1, 4, 4), 25.5)])
    assert value(Psnr(), results, truths) == pytest.approx((40.0 + 20.0) / 2)


def test_psnr_in_0_to_1_with_peak_1_is_the_same():
    results, truths = pictures()
    assert value(Psnr(peak=1.0), results / 255.0, truths / 255.0) == pytest.approx(value(Psnr(), results, truths))


def test_equal_pictures_count_100_db():
    _, truths = pictures(1)
    assert value(Psnr(), truths.astype(np.float32), truths) == 100.0


def test_no_picture_counts_more_than_an_equal_one():
    truths = np.zeros((1, 1, 4, 4), np.uint8)
    assert value(Psnr(), truths + 1e-6, truths) == 100.0


def test_border_is_left_out_at_each_side():
    truths = np.zeros((1, 1, 6, 8), np.uint8)
    results = truths + np.float32(25.5)
    results[:, :, :2] = results[:, :, -2:] = results[:, :, :, :2] = results[:, :, :, -2:] = 200
    assert value(Psnr(border=2), results, truths) == pytest.approx(20.0)


def test_y_is_the_luma_of_bt_601():
    truths = np.zeros((1, 3, 2, 2), np.uint8)
    results = truths + np.array([256.0, 512.0, 256.0]).reshape(1, 3, 1, 1)
    error = 65.738 + 2 * 129.057 + 25.064
    assert value(Psnr("y"), results, truths) == pytest.approx(20 * math.log10(255 / error))


def test_y_of_a_grey_picture_is_that_of_equal_red_green_and_blue():
    results, truths = pictures(channels=1)
    assert value(Psnr("y"), results, truths) == pytest.approx(
        value(Psnr("y"), results.repeat(3, axis=1), truths.repeat(3, axis=1))
    )


@pytest.mark.parametrize("padding", ["valid", "zero"])
def test_ssim_is_that_of_the_definition(padding):
    results, truths = pictures(1)
    assert value(Ssim(padding=padding), results, truths) == pytest.approx(
        naive_ssim(results[0], truths[0], padding), abs=1e-9
    )


def test_ssim_with_another_window_is_that_of_the_definition():
    results, truths = pictures(1, channels=1)
    assert value(Ssim(window=7, sigma=2.0, padding="zero"), results, truths) == pytest.approx(
        naive_ssim(results[0], truths[0], "zero", 7, 2.0), abs=1e-9
    )


def test_ssim_of_constant_pictures_compares_only_their_means():
    results, truths = np.full((1, 1, 12, 12), 100.0), np.full((1, 1, 12, 12), 200, np.uint8)
    c1 = 2.55**2
    assert value(Ssim(), results, truths) == pytest.approx((2 * 100 * 200 + c1) / (100**2 + 200**2 + c1))


def test_ssim_of_equal_pictures_is_1():
    _, truths = pictures()
    assert value(Ssim(), truths.astype(np.float32), truths) == pytest.approx(1.0)


def test_ssim_of_y_cuts_the_border_before_the_window():
    results, truths = pictures(1)
    inside = (..., slice(2, -2), slice(2, -2))
    assert value(Ssim("y", border=2), results, truths) == pytest.approx(
        value(Ssim("y"), results[inside], truths[inside])
    )


@pytest.mark.parametrize("make", [Psnr, Ssim])
def test_pictures_of_several_sizes_are_scored_each(make):
    sides = [pictures(1, size) for size in ((20, 24), (24, 20))]
    together = make()
    together.add([results[0] for results, _ in sides], [truths[0] for _, truths in sides])
    (name,) = together.figures
    assert together.compute()[name] == pytest.approx(np.mean([value(make(), *side) for side in sides]))


@pytest.mark.parametrize("make", [Psnr, Ssim])
def test_parts_merge_to_the_whole(make):
    results, truths = pictures(4)
    first, second = make(), make()
    first.add(list(results[:1]), list(truths[:1]))
    second.add(list(results[1:]), list(truths[1:]))
    first.merge(second)
    assert first.compute() == {next(iter(first.figures)): pytest.approx(value(make(), results, truths))}


def test_result_of_another_size_is_refused():
    with pytest.raises(DataError, match=r"restored picture is \[3, 4, 4\] and the true one \[3, 8, 8\]"):
        Psnr().add([np.zeros((3, 4, 4))], [np.zeros((3, 8, 8), np.uint8)])


def test_border_that_leaves_nothing_is_refused():
    with pytest.raises(DataError, match="8x4 pixels has nothing inside a border of 2"):
        Psnr(border=2).add([np.zeros((1, 4, 8))], [np.zeros((1, 4, 8), np.uint8)])


def test_picture_smaller_than_the_window_is_refused_unless_padded():
    picture = np.zeros((1, 8, 20), np.uint8)
    with pytest.raises(DataError, match="20x8 pixels is smaller than the SSIM's window, 11"):
        Ssim().add([picture], [picture])
    assert value(Ssim(padding="zero"), [picture], [picture]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Psnr(border=-1),
        lambda: Psnr(peak=0.0),
        lambda: Ssim(border=-1),
        lambda: Ssim(window=10),
        lambda: Ssim(sigma=0.0),
    ],
)
def test_wrong_arguments_are_refused(make):
    with pytest.raises(ConfigError):
        make()
