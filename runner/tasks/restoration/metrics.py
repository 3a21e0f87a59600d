"""Metrics of restored pictures: float [C, H, W] in 0..255 against true ones, uint8 [C, H, W]."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from runner.core import ConfigError, DataError, Figure
from runner.core.lazy import NDArray, cv2, np
from runner.tasks.metrics import Mean

Channel = Literal["rgb", "y"]

LARGEST_PSNR_DB = 100.0
"""What equal pictures count, whose PSNR is infinite, and more than which none counts."""
_LUMA = (65.738 / 256, 129.057 / 256, 25.064 / 256)
"""Weights of R, G and B in Y of ITU-R BT.601 with 8 bits, whose black is 16."""
_BLACK_Y = 16.0
_SSIM_K = (0.01, 0.03)
"""K1 and K2 of Wang et al., IEEE Trans. Image Processing 13 (2004), equations 7 and 8 in its notation (C = (K L)^2)."""


class Psnr(Mean):
    """The mean of the pictures' peak signal-to-noise ratio, 10 log10(peak^2 / mean squared difference), in dB.

    `channel`: rgb takes all the channels together, y the luma (BT.601, 16..235). `border` pixels are left out at each
    side. A picture counts at most 100 dB, since that of an equal one is infinite.
    """

    def __init__(self, channel: Channel = "rgb", border: int = 0, peak: float = 255.0) -> None:
        _check(border, peak)
        super().__init__(partial(_psnr, channel=channel, border=border, peak=peak))
        # Guides print two or three decimals; half precision, and other noise of the same sigma, move the second one.
        self.figures = {"psnr": Figure(unit="dB", better="higher", tolerance=0.05)}


class Ssim(Mean):
    """The mean of the pictures' structural similarity (Wang et al. 2004) with a Gaussian window, at most 1.

    Each channel is compared for itself; the mean is over channels and pixels. `padding`: valid takes only the pixels
    whose window lies inside the picture, as the paper's program does; zero takes all, with zeros outside. `channel` and
    `border` are those of `Psnr`.
    """

    def __init__(
        self,
        channel: Channel = "rgb",
        border: int = 0,
        peak: float = 255.0,
        window: int = 11,
        sigma: float = 1.5,
        padding: Literal["valid", "zero"] = "valid",
    ) -> None:
        _check(border, peak)
        if window < 1 or window % 2 == 0 or not sigma > 0:
            raise ConfigError(
                f"the SSIM's window is {window} pixels with sigma {sigma:g}",
                "give an odd window and a sigma above 0, as in window: 11, sigma: 1.5",
            )
        super().__init__(
            partial(
                _ssim,
                channel=channel,
                border=border,
                peak=peak,
                window=gaussian(window, sigma),
                valid=padding == "valid",
            )
        )
        # Guides print four decimals, and half precision moves the fourth.
        self.figures = {"ssim": Figure(better="higher", tolerance=0.001)}


def _check(border: int, peak: float) -> None:
    if border < 0 or not peak > 0:
        raise ConfigError(
            f"a metric of pictures has border {border} and peak {peak:g}",
            "give a border of at least 0 pixels and a peak above 0, as in border: 2, peak: 255",
        )


def _psnr(
    results: NDArray[Any], truths: NDArray[Any], *, channel: Channel, border: int, peak: float
) -> NDArray[np.float64]:
    """Return the PSNR of each of the pictures [N, C, H, W] in dB, [N]."""
    left, right = _compared(results, truths, channel, border)
    errors = np.square(left - right).mean(axis=(1, 2, 3))
    least = peak**2 / 10 ** (LARGEST_PSNR_DB / 10)
    return np.asarray(10 * np.log10(peak**2 / np.maximum(errors, least)), np.float64)


def _ssim(
    results: NDArray[Any],
    truths: NDArray[Any],
    *,
    channel: Channel,
    border: int,
    peak: float,
    window: NDArray[np.float64],
    valid: bool,
) -> NDArray[np.float64]:
    """Return the SSIM of each of the pictures [N, C, H, W], [N]."""
    left, right = _compared(results, truths, channel, border)
    if valid and min(left.shape[2:]) < len(window):
        raise DataError(
            f"a picture of {left.shape[3]}x{left.shape[2]} pixels is smaller than the SSIM's window, {len(window)}",
            "take it out of the data set, or give the metric padding: zero",
        )
    similar = [
        np.mean([_similarity(*planes, peak, window, valid) for planes in zip(*pictures, strict=True)])
        for pictures in zip(left, right, strict=True)
    ]
    return np.array(similar, np.float64)


def _similarity(
    left: NDArray[np.float64], right: NDArray[np.float64], peak: float, window: NDArray[np.float64], valid: bool
) -> float:
    """Return the mean SSIM of two planes [H, W]: equation 13 of Wang et al. at each pixel."""

    def local_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.sepFilter2D(values, -1, window, window, borderType=cv2.BORDER_CONSTANT), np.float64)

    c1, c2 = ((k * peak) ** 2 for k in _SSIM_K)
    mean_left, mean_right = local_mean(left), local_mean(right)
    variances = local_mean(left * left + right * right) - mean_left**2 - mean_right**2
    covariance = local_mean(left * right) - mean_left * mean_right
    similar = (2 * mean_left * mean_right + c1) * (2 * covariance + c2)
    similar /= (mean_left**2 + mean_right**2 + c1) * (variances + c2)
    edge = len(window) // 2 if valid else 0
    return float(similar[edge : similar.shape[0] - edge, edge : similar.shape[1] - edge].mean())


def gaussian(window: int, sigma: float) -> NDArray[np.float64]:
    """Return the weights of a Gaussian at `window` pixels around its centre, [window], with sum 1."""
    weights = np.exp(-np.square(np.arange(window) - window // 2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum(), np.float64)


def _compared(
    results: NDArray[Any], truths: NDArray[Any], channel: Channel, border: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both sides' channels that are compared, [N, C, H, W], without the border."""
    if results.shape != truths.shape:
        raise DataError(
            f"a restored picture is {list(results.shape[1:])} and the true one {list(truths.shape[1:])}",
            "choose a data set for the model's scale and channels",
        )
    _, _, height, width = results.shape
    if min(height, width) <= 2 * border:
        raise DataError(
            f"a picture of {width}x{height} pixels has nothing inside a border of {border}",
            "take it out of the data set, or give the metrics a smaller border",
        )
    inside = (..., slice(border, height - border), slice(border, width - border))
    left, right = (side[inside].astype(np.float64) for side in (results, truths))
    return (left, right) if channel == "rgb" else (luma(left), luma(right))


def luma(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Y, 16..235 [..., 1, H, W], of pictures in 0..255, RGB or grey [..., 3 or 1, H, W]; grey is R = G = B."""
    red, green, blue = (
        pictures[..., channel, :, :] for channel in ((0, 1, 2) if pictures.shape[-3] == 3 else (0, 0, 0))
    )
    luma = _BLACK_Y + _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
    return np.asarray(luma[..., None, :, :], np.float64)
