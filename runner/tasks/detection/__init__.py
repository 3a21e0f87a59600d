"""Object detection: pictures with boxes in, raw head outputs decoded to boxes, COCO's and VOC's average precision."""

from runner.tasks.detection.anchors import EfficientDet, Fcos, RetinaNet, Ssd
from runner.tasks.detection.boxes import Boxes
from runner.tasks.detection.coco import Coco
from runner.tasks.detection.detr import Detr
from runner.tasks.detection.exported import Flat, Rows
from runner.tasks.detection.masks import PrototypeDistances, RowsWithMasks
from runner.tasks.detection.metrics import CocoAveragePrecision, VocAveragePrecision
from runner.tasks.detection.preview import write_boxes
from runner.tasks.detection.synthetic import SyntheticBoxes
from runner.tasks.detection.voc import Voc
from runner.tasks.detection.yolo import Anchored, Distances, Yolox
