"""Semantic segmentation: pictures with label maps in, a class per pixel out, IoU from one confusion matrix."""

from runner.tasks.segmentation.confusion import ConfusionMatrix
from runner.tasks.segmentation.maps import UNSEEN, Maps
from runner.tasks.segmentation.picture_maps import PictureMaps
from runner.tasks.segmentation.preview import write_maps
from runner.tasks.segmentation.synthetic import SyntheticShapes
