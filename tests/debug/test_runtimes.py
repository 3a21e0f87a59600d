from runner.debug import runtimes


def test_tensors_are_asked_for_in_chunks_of_a_bounded_size(monkeypatch) -> None:
    monkeypatch.setattr(runtimes, "BYTES_AT_A_TIME", 100)
    sizes = {"a": 60, "b": 60, "c": 30, "d": 300, "e": 1}
    assert list(runtimes.chunks(list("abcde"), sizes)) == [["a"], ["b", "c"], ["d"], ["e"]]


def test_no_chunk_has_too_many_tensors(monkeypatch) -> None:
    monkeypatch.setattr(runtimes, "TENSORS_AT_A_TIME", 2)
    assert list(runtimes.chunks(list("abc"), {})) == [["a", "b"], ["c"]]


def test_a_tensor_of_unknown_size_counts_as_the_largest_known(monkeypatch) -> None:
    monkeypatch.setattr(runtimes, "BYTES_AT_A_TIME", 100)
    assert list(runtimes.chunks(list("abc"), {"a": 60})) == [["a"], ["b"], ["c"]]
