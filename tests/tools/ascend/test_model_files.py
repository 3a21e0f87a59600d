"""The files of an offline model, as msit's ais_bench reads them."""

from __future__ import annotations

from dataclasses import replace

from runner.tools.ascend import _model_files as model_files


def test_a_model_that_only_its_owner_may_write_is_not_copied(compiled, work) -> None:
    model = compiled(1)
    model.path.chmod(0o600)
    with model_files.readable(model, work) as read:
        assert read.path == model.path
        assert list(work.iterdir()) == []


def test_a_link_to_a_model_is_followed(compiled, work, tmp_path) -> None:
    model = compiled(1)
    model.path.chmod(0o600)
    link = tmp_path / "link.om"
    link.symlink_to(model.path)
    with model_files.readable(replace(model, path=link), work) as read:
        assert read.path == model.path


def test_a_model_that_others_may_write_is_copied_while_it_is_read(compiled, work) -> None:
    model = compiled(1)
    model.path.chmod(0o666)
    with model_files.readable(model, work) as read:
        assert read.path.read_bytes() == model.path.read_bytes()
        assert read.path.stat().st_mode & 0o777 == 0o600
    assert list(work.iterdir()) == []


def test_weights_beside_a_model_go_with_it(compiled, work) -> None:
    model = compiled(1)
    model.path.chmod(0o666)
    weights = model.path.parent / "weight"
    weights.mkdir()
    (weights / "0").write_bytes(b"w")
    with model_files.readable(model, work) as read:
        assert (read.path.parent / "weight" / "0").read_bytes() == b"w"
    assert model_files.of(model) == [model.path.resolve(), weights.resolve()]
    assert (weights / "0").exists()
