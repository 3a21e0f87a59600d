"""Image generation: noise in, images out, compared with PyTorch's; the preview is an image grid."""

from runner.tasks.generation.metrics import cosine_accuracy
from runner.tasks.generation.noise import Noise
from runner.tasks.generation.preview import write_image_grid
