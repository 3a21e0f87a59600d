"""Drafts by task: the decoder that shapes of outputs show."""

import pytest

from runner.core import FREE, ConfigError, TensorSpec
from runner.new import tasks

PICTURE = TensorSpec("image", "float32", (3, 64, 96))


def decoder(
    task: str, *shapes: tuple[int, ...], dtype: str = "float32", metadata: dict | None = None, growing: tuple = ()
) -> dict | None:
    """The decoder's name and arguments for outputs of these shapes."""
    outputs = [TensorSpec(f"output{index}", dtype, shape) for index, shape in enumerate(shapes)]
    decoded = tasks.decoded(task, [PICTURE], outputs, metadata or {}, growing)
    return decoded and {**decoded.decode, "_target_": decoded.decode["_target_"].rpartition(".")[2]}


@pytest.mark.parametrize(
    ("shapes", "decode"),
    [
        ([(84, 8400)], {"_target_": "Flat"}),
        ([(25200, 85)], {"_target_": "Flat", "layout": "boxes_first", "objectness": True}),
        ([(100, 6)], {"_target_": "Rows"}),
        ([(100, 5), (100, 1)], {"_target_": "Rows"}),
        ([(100, 4), (100,), (100,)], {"_target_": "Rows"}),
        ([(4, 8400)], None),
        ([(255, 80, 80), (255, 40, 40), (255, 20, 20)], None),
    ],
)
def test_a_detectors_decoder_is_seen_by_the_shapes_of_its_outputs(shapes, decode) -> None:
    assert decoder("detection", *shapes) == decode


def test_maps_are_logits_where_floating_and_else_class_ids() -> None:
    assert decoder("segmentation", (19, 16, 24)) == {"_target_": "Maps"}
    assert decoder("segmentation", (1, 16, 24)) == {"_target_": "Maps", "threshold": 0.0}
    assert decoder("segmentation", (64, 96), dtype="int64") == {
        "_target_": "Maps",
        "source": "ids",
        "resize": "nearest",
    }
    assert decoder("segmentation", (1000,)) is None


def test_the_scale_of_a_restored_picture_is_measured() -> None:
    assert decoder("restoration", (3, 128, 192)) == {"_target_": "Picture", "scale": 2}
    assert decoder("restoration", (3, 128, 96)) is None


def test_the_classes_of_text_are_the_longer_axis() -> None:
    assert decoder("recognition", (26, 37)) == {"_target_": "Ctc", "alphabet": "0123456789abcdefghijklmnopqrstuvwxyz"}
    assert decoder("recognition", (68, 18))["layout"] == "NCT"
    assert len(set(decoder("recognition", (40, 6625))["alphabet"])) == 6624


def test_the_axis_that_grows_is_that_of_time_whatever_its_length() -> None:
    short = decoder("recognition", (37, 40), growing=(1,))
    assert (short["layout"], len(short["alphabet"])) == ("NCT", 36)
    assert "layout" not in decoder("recognition", (40, 37), growing=(0,))


def test_the_axis_that_grows_is_that_of_the_boxes_whatever_its_length() -> None:
    assert decoder("detection", (84, 21), growing=(1,)) == {"_target_": "Flat"}
    assert decoder("detection", (21, 85), growing=(0,))["layout"] == "boxes_first"


@pytest.mark.parametrize(("task", "shape"), [("recognition", (26, 37)), ("detection", (84, 8400))])
def test_a_layout_that_is_guessed_is_to_be_checked(task: str, shape: tuple[int, int]) -> None:
    outputs = [TensorSpec("output", "float32", shape)]
    assert "the longer axis" in tasks.decoded(task, [PICTURE], outputs, {}).guessed
    assert tasks.decoded(task, [PICTURE], outputs, {}, (1,)).guessed is None


@pytest.mark.parametrize(("classes", "more"), [(4, {}), (5, {"space": True})])
def test_an_alphabet_of_the_file_itself_is_used(classes: int, more: dict) -> None:
    decode = decoder("recognition", (2, classes), metadata={"character": "a\nb\nc"})
    assert decode == {"_target_": "Ctc", "alphabet": "metadata:character", **more}


def test_a_map_of_probabilities_finds_text() -> None:
    assert decoder("ocr_detection", (1, 64, 96)) == {"_target_": "Db"}
    assert decoder("ocr_detection", (2, 64, 96)) is None


def test_a_network_that_takes_no_picture_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"takes ids int64 \[7\], and --task detection is for pictures"):
        tasks.decoded("detection", [TensorSpec("ids", "int64", (7,))], [], {})


def test_free_sides_are_padded_to_a_multiple() -> None:
    free = tasks.preprocessing("detection", TensorSpec("image", "float32", (3, FREE, FREE)))
    assert (free.fit, free.multiple, free.channels) == ("inside", 32, "rgb")
    assert tasks.preprocessing("detection", PICTURE).multiple == 1


def test_pictures_to_be_restored_are_not_padded() -> None:
    free = tasks.preprocessing("restoration", TensorSpec("image", "float32", (1, FREE, FREE)))
    assert (free.fit, free.multiple, free.channels) == ("none", 1, "grey")


def test_maps_of_free_size_are_padded_and_not_stretched() -> None:
    free = tasks.preprocessing("segmentation", TensorSpec("image", "float32", (3, FREE, FREE)))
    assert (free.fit, free.multiple) == ("none", tasks.MULTIPLE)
    assert tasks.preprocessing("segmentation", PICTURE).fit == "stretch"
