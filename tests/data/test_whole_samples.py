from runner.data import Row, whole_samples


def test_the_rows_of_a_sample_are_one_span() -> None:
    rows = [Row(id="a"), Row(id="b#0", sample="b"), Row(id="b#1", sample="b"), Row(id="c#0", sample="c")]
    assert list(whole_samples.spans(rows)) == [slice(0, 1), slice(1, 3), slice(3, 4)]
