"""Text detection: pictures in, polygons around words out; precision, recall and hmean as ICDAR 2015 counts them."""

from runner.tasks.ocr_detection.db import Db
from runner.tasks.ocr_detection.icdar import Icdar
from runner.tasks.ocr_detection.metrics import Hmean
from runner.tasks.ocr_detection.polygons import Polygons
from runner.tasks.ocr_detection.preview import write_polygons
from runner.tasks.ocr_detection.synthetic import SyntheticScenes
