"""Restoration: degraded pictures in, clean or larger ones out; PSNR and SSIM against the true pictures."""

from runner.tasks.restoration.decode import Picture
from runner.tasks.restoration.metrics import Psnr, Ssim
from runner.tasks.restoration.preview import write_comparison
from runner.tasks.restoration.readers import NoisyPictures, PicturePairs, ShrunkPictures
from runner.tasks.restoration.synthetic import SyntheticTextures
