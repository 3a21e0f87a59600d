import contextlib
import io

import numpy as np
import pytest
from pycocotools import mask as mask_tools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from runner.core import DataError
from runner.tasks import first_output
from runner.tasks.detection import Boxes, CocoAveragePrecision, Rows, RowsWithMasks, VocAveragePrecision

NAMES = ["map", "map50", "map75", "map_small", "map_medium", "map_large"]


def found(*objects, masks=None):
    """Each object is (class, score, box)."""
    classes, scores, boxes = zip(*objects, strict=True) if objects else ((), (), ())
    return Boxes(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(classes, np.int64), masks
    )


def truth(*objects, class_count=3, crowd=None, **more):
    """Each object is (class, box)."""
    boxes = [list(map(float, box)) for _, box in objects]
    return {
        "class_count": class_count,
        "boxes": boxes,
        "classes": [each for each, _ in objects],
        "areas": [(right - left) * (bottom - top) for left, top, right, bottom in boxes],
        "crowd": crowd or [0] * len(boxes),
        **more,
    }


def coco_of(results, truths, kind="bbox"):
    metric = CocoAveragePrecision(kind)
    metric.add(results, truths)
    return metric.compute()


def voc_of(results, truths, **arguments):
    metric = VocAveragePrecision(**arguments)
    metric.add(results, truths)
    return metric.compute()["map50"]


A, B, C = (0, 0, 40, 40), (100, 0, 140, 40), (200, 0, 240, 40)


# COCO


def test_all_objects_found_exactly_are_100_percent():
    scores = coco_of([found((0, 0.9, A), (1, 0.8, B))], [truth((0, A), (1, B))])
    assert scores == {name: pytest.approx(100) for name in ("map", "map50", "map75", "map_medium")}


def test_figure_without_objects_is_left_out():
    assert coco_of([found((0, 0.9, A))], [truth()]) == {}
    assert "map_small" not in coco_of([found()], [truth((0, A))])


def test_nothing_found_is_0_percent():
    assert coco_of([found()], [truth((0, A))]) == {"map": 0, "map50": 0, "map75": 0, "map_medium": 0}


def test_object_of_another_class_is_not_the_one_looked_for():
    assert coco_of([found((1, 0.9, A))], [truth((0, A))])["map"] == 0


def test_half_of_the_objects_found_reach_half_of_the_recalls():
    assert coco_of([found((0, 0.9, A))], [truth((0, A), (0, B))])["map50"] == pytest.approx(100 * 51 / 101)


def test_overlap_of_80_percent_counts_at_seven_of_ten_thresholds():
    scores = coco_of([found((0, 0.9, (0, 0, 40, 32)))], [truth((0, A))])
    assert (scores["map"], scores["map50"], scores["map75"]) == pytest.approx((70, 100, 100))


def test_wrong_box_before_a_right_one_halves_the_precision():
    assert coco_of([found((0, 0.9, B), (0, 0.8, A))], [truth((0, A))])["map50"] == pytest.approx(50)


def test_second_box_on_an_object_is_wrong():
    results = [found((0, 0.9, A), (0, 0.8, A), (0, 0.7, B))]
    assert coco_of(results, [truth((0, A), (0, B))])["map50"] == pytest.approx(100 * (51 + 50 * 2 / 3) / 101)


def test_of_two_objects_that_a_box_overlaps_equally_the_last_is_taken():
    left, middle, right = (0, 0, 40, 40), (10, 0, 50, 40), (20, 0, 60, 40)
    results = [found((0, 0.9, middle), (0, 0.8, left))]
    assert coco_of(results, [truth((0, left), (0, right))])["map50"] == pytest.approx(100)


def test_boxes_in_a_crowd_are_neither_right_nor_wrong():
    crowded = truth((0, A), (0, (100, 0, 300, 300)), crowd=[0, 1])
    assert coco_of([found((0, 0.9, B), (0, 0.8, C), (0, 0.7, A))], [crowded])["map"] == pytest.approx(100)


def test_class_without_objects_does_not_count():
    assert coco_of([found((0, 0.9, A), (2, 0.9, B))], [truth((0, A))])["map"] == pytest.approx(100)


def test_hundred_first_detection_of_a_class_does_not_count():
    wrong = [(0, 0.9, B)] * 99
    assert coco_of([found(*wrong, (0, 0.5, A))], [truth((0, A))])["map50"] == pytest.approx(1)
    assert coco_of([found(*wrong, (0, 0.9, B), (0, 0.5, A))], [truth((0, A))])["map50"] == 0


def test_merged_metrics_equal_one_that_saw_everything():
    results, truths = random_pictures(np.random.default_rng(5), 6)
    left, right = CocoAveragePrecision(), CocoAveragePrecision()
    left.add(results[:2], truths[:2])
    right.add(results[2:], truths[2:])
    left.merge(right)
    assert left.compute() == coco_of(results, truths)


def test_metric_without_pictures_has_no_figures():
    assert CocoAveragePrecision().compute() == {}


@pytest.mark.parametrize("metric", [CocoAveragePrecision, VocAveragePrecision])
@pytest.mark.parametrize("wrong", [3, -1])
def test_class_beyond_the_data_sets_is_an_error(metric, wrong):
    with pytest.raises(DataError, match=f"of class {wrong}, and classes beyond 2 are not in the data set"):
        metric().add([found((wrong, 0.9, A))], [truth((0, A))])


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(4))
def test_figures_equal_those_of_pycocotools(kind, seed):
    results, truths = random_pictures(np.random.default_rng(seed), 12, masks=kind == "segm")
    prefix = {"bbox": "", "segm": "segm_"}[kind]
    expected = dict(zip([prefix + name for name in NAMES], oracle(results, truths, kind), strict=True))
    scores = coco_of(results, truths, kind)
    assert len(scores) >= 4
    assert scores == {name: pytest.approx(value, abs=1e-9) for name, value in expected.items() if value >= 0}


def test_figures_of_masks_have_other_names_than_those_of_boxes():
    assert not set(CocoAveragePrecision().figures) & set(CocoAveragePrecision("segm").figures)


def test_masks_are_compared_and_not_boxes():
    left, right = np.zeros((2, 40, 40), np.uint8)
    left[:, :20], right[:, 20:] = 1, 1
    results = [found((0, 0.9, A), masks=[encoded(left)])]
    assert coco_of(results, [truth((0, A), masks=[encoded(left)])], "segm")["segm_map"] == pytest.approx(100)
    assert coco_of(results, [truth((0, A), masks=[encoded(right)])], "segm")["segm_map"] == 0


def test_decoder_without_masks_is_an_error():
    with pytest.raises(DataError, match="the decoder gives none"):
        coco_of([found((0, 0.9, A))], [truth((0, A), masks=[encoded(np.ones((4, 4), np.uint8))])], "segm")


@pytest.mark.parametrize(
    ("kind", "decode", "told"),
    [
        ("segm", Rows(), ["the figures of masks need masks, and the decoder Rows gives none"]),
        ("segm", RowsWithMasks(), []),
        ("segm", first_output, []),
        ("bbox", Rows(), []),
    ],
    ids=["no masks", "masks", "a decoder that does not say", "boxes are scored"],
)
def test_decoder_without_masks_is_told_before_anything_is_scored(kind, decode, told):
    assert [problem.message for problem in CocoAveragePrecision(kind).validate(decode)] == told


def test_more_masks_than_255_can_be_found_in_a_picture():
    mask = encoded(np.ones((4, 4), np.uint8))
    many = found(*[(0, 0.9, A)] * 90, *[(1, 0.9, A)] * 90, *[(2, 0.9, A)] * 90, masks=[mask] * 270)
    assert coco_of([many], [truth((2, A), masks=[mask])], "segm")["segm_map50"] == pytest.approx(100)


def test_data_set_without_masks_is_an_error():
    with pytest.raises(DataError, match="the data set has none"):
        coco_of([found((0, 0.9, A), masks=[encoded(np.ones((4, 4), np.uint8))])], [truth((0, A))], "segm")


def test_mask_of_another_size_than_the_picture_is_an_error():
    small, large = (encoded(np.ones(shape, np.uint8)) for shape in ((4, 4), (8, 4)))
    with pytest.raises(DataError, match=r"is \[4, 4\], and the picture is \[8, 4\]"):
        coco_of([found((0, 0.9, A), masks=[small])], [truth((0, A), masks=[large])], "segm")


# Pascal VOC


def test_voc_of_objects_found_exactly_is_100_percent():
    assert voc_of([found((0, 0.9, A), (1, 0.8, B))], [truth((0, A), (1, B))]) == pytest.approx(100)


def test_voc_takes_the_11_recalls_that_are_reached():
    assert voc_of([found((0, 0.9, A))], [truth((0, A), (0, B))]) == pytest.approx(100 * 6 / 11)


def test_voc_reaches_a_recall_of_exactly_three_tenths():
    boxes = [(50 * index, 0, 50 * index + 40, 40) for index in range(10)]
    results = [found(*[(0, 0.9, box) for box in boxes[:3]])]
    assert voc_of(results, [truth(*[(0, box) for box in boxes])]) == pytest.approx(100 * 4 / 11)


def test_voc_area_is_that_under_the_curve():
    results = [found((0, 0.9, A), (0, 0.8, C), (0, 0.7, B))]
    truths = [truth((0, A), (0, B))]
    assert voc_of(results, truths, interpolation="area") == pytest.approx(100 * (0.5 * 1 + 0.5 * 2 / 3))
    assert voc_of(results, truths) == pytest.approx(100 * (6 * 1 + 5 * 2 / 3) / 11)


def test_voc_counts_an_overlap_of_exactly_half():
    assert voc_of([found((0, 0.9, (0, 0, 40, 20)))], [truth((0, A))]) == pytest.approx(100)


def test_voc_takes_another_overlap():
    assert voc_of([found((0, 0.9, (0, 0, 40, 20)))], [truth((0, A))], iou=0.6) == 0


def test_voc_second_box_on_an_object_is_wrong_even_if_it_overlaps_a_free_one():
    near = (10, 0, 50, 40)
    results = [found((0, 0.9, A), (0, 0.8, (1, 0, 41, 40)))]
    assert voc_of(results, [truth((0, A), (0, near))], interpolation="area") == pytest.approx(50)


def test_voc_difficult_objects_are_neither_wanted_nor_wrong():
    results = [found((0, 0.9, B), (0, 0.8, B), (0, 0.7, A))]
    assert voc_of(results, [truth((0, A), (0, B), difficult=[0, 1])]) == pytest.approx(100)


def test_voc_of_a_picture_without_objects_counts_its_boxes_as_wrong():
    results = [found((0, 0.9, A)), found((0, 0.8, A))]
    assert voc_of(results, [truth(), truth((0, A))]) == pytest.approx(50)


def test_voc_merged_metrics_equal_one_that_saw_everything():
    results, truths = random_pictures(np.random.default_rng(6), 6)
    left, right = VocAveragePrecision(), VocAveragePrecision()
    left.add(results[:2], truths[:2])
    right.add(results[2:], truths[2:])
    left.merge(right)
    assert left.compute()["map50"] == voc_of(results, truths)


def test_voc_without_objects_has_no_figure():
    assert VocAveragePrecision().compute() == {}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("interpolation", ["11-point", "area"])
def test_voc_equals_a_plain_loop(seed, interpolation):
    results, truths = random_pictures(np.random.default_rng(seed), 12)
    for each in truths:
        each["difficult"] = [int(box[0] % 5 == 0) for box in each["boxes"]]
    expected = plain_voc(results, truths, interpolation)
    assert voc_of(results, truths, interpolation=interpolation) == pytest.approx(expected, abs=1e-9)


# what the tests compare with


def random_pictures(random, count, masks=False, classes=6, size=(120, 160)):
    """Objects of all of COCO's sizes with crowds, and detections near them, with equal overlaps and equal scores."""
    results, truths = [], []
    for _ in range(count):
        objects = [(int(random.integers(classes - 1)), random_box(random, size)) for _ in range(random.integers(0, 12))]
        near = [(each, moved(random, box, size)) for each, box in objects for _ in range(random.integers(0, 4))]
        far = [(int(random.integers(classes)), random_box(random, size)) for _ in range(random.integers(0, 130))]
        detections = [(each, int(random.integers(1, 50)) / 50, box) for each, box in near + far]
        crowd = [int(value) for value in random.random(len(objects)) < 0.2]
        more = {"masks": [random_mask(random, box, size) for _, box in objects]} if masks else {}
        truths.append(truth(*objects, class_count=classes, crowd=crowd, **more))
        own = [random_mask(random, box, size) for _, box in near + far] if masks else None
        results.append(found(*detections, masks=own))
    return results, truths


def random_box(random, size):
    left, right = sorted(random.choice(size[1] + 1, 2, replace=False).tolist())
    top, bottom = sorted(random.choice(size[0] + 1, 2, replace=False).tolist())
    return left, top, right, bottom


def moved(random, box, size):
    left, top, right, bottom = (int(edge) + int(random.integers(-6, 7)) for edge in box)
    left, top = min(max(0, left), size[1] - 1), min(max(0, top), size[0] - 1)
    return left, top, min(max(right, left + 1), size[1]), min(max(bottom, top + 1), size[0])


def random_mask(random, box, size):
    mask = np.zeros(size, np.uint8)
    left, top, right, bottom = box
    mask[top:bottom, left:right] = random.random((bottom - top, right - left)) < 0.9
    return encoded(mask)


def encoded(mask):
    return mask_tools.encode(np.asfortranarray(mask))


def oracle(results, truths, kind):
    """COCOeval's first six figures in percent."""
    images = [{"id": index + 1, "height": 120, "width": 160} for index in range(len(truths))]
    categories = [{"id": index} for index in range(truths[0]["class_count"])]
    annotations, detections = [], []
    for image, result, each in zip(images, results, truths, strict=True):
        for index, (left, top, right, bottom) in enumerate(each["boxes"]):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": each["classes"][index],
                    "bbox": [left, top, right - left, bottom - top],
                    "area": each["areas"][index],
                    "iscrowd": each["crowd"][index],
                    **({"segmentation": dict(each["masks"][index])} if kind == "segm" else {}),
                }
            )
        for index, (left, top, right, bottom) in enumerate(result.boxes.tolist()):
            where = (
                {"segmentation": dict(result.masks[index])}
                if kind == "segm"
                else {"bbox": [left, top, right - left, bottom - top]}
            )
            detections.append(
                {
                    "image_id": image["id"],
                    "category_id": int(result.classes[index]),
                    "score": float(result.scores[index]),
                    **where,
                }
            )
    data = COCO()
    data.dataset = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    with contextlib.redirect_stdout(io.StringIO()):
        data.createIndex()
        evaluation = COCOeval(data, data.loadRes(detections), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return 100 * evaluation.stats[:6]


def plain_voc(results, truths, interpolation):
    """The development kit's evaluation, a detection at a time."""
    averages = []
    for index in range(truths[0]["class_count"]):
        detections = [
            (-float(score), picture, order, box)
            for picture, result in enumerate(results)
            for order, (each, score, box) in enumerate(
                zip(result.classes, result.scores, result.boxes.astype(float).tolist(), strict=True)
            )
            if each == index
        ]
        objects = [[k for k, each in enumerate(own["classes"]) if each == index] for own in truths]
        wanted = sum(not own["difficult"][k] for own, mine in zip(truths, objects, strict=True) for k in mine)
        if not wanted:
            continue
        taken, flags = set(), []
        for _, picture, _, box in sorted(detections):
            overlaps = [(overlap(box, truths[picture]["boxes"][k]), -k) for k in objects[picture]]
            best, k = max(overlaps, default=(0, 0))
            if best >= 0.5 and truths[picture]["difficult"][-k]:
                continue
            flags.append(best >= 0.5 and (picture, k) not in taken)
            if flags[-1]:
                taken.add((picture, k))
        right = np.cumsum(flags)
        recall, precision = right / wanted, right / np.arange(1, len(right) + 1)
        if interpolation == "11-point":
            points = [max(precision[recall >= level / 10], default=0) for level in range(11)]
            averages.append(sum(points) / 11)
        else:
            envelope = [max(precision[k:]) for k in range(len(precision))]
            averages.append(sum(np.diff([0, *recall]) * envelope))
    return 100 * np.mean(averages)


def overlap(left, right):
    width = min(left[2], right[2]) - max(left[0], right[0])
    height = min(left[3], right[3]) - max(left[1], right[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (left, right))
    return width * height / (both - width * height)
