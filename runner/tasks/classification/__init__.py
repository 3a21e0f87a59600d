"""Image classification: labelled images in, class scores out, top-1 and top-5 accuracy."""

from runner.tasks.classification.image_folder import ImageFolder
from runner.tasks.classification.metrics import top_k
from runner.tasks.classification.synthetic import SyntheticImages
