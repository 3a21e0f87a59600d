import pytest

from runner import results
from runner.config.schema import PublishedConfig
from runner.report import columns, tables

PUBLISHED = {
    "dcgan": (
        PublishedConfig(soc="310P3", batch=1, samples_per_second=200.0, source="row 1"),
        PublishedConfig(soc="310P3", batch=4, samples_per_second=800.0, source="row 2"),
        PublishedConfig(soc="310", batch=1, samples_per_second=0.0, source="row 3"),
    )
}


@pytest.fixture
def one_table(write_result, tmp_path):
    """The only table of results written with the given changes, one a dict."""

    def build(*runs: dict) -> tables.Table:
        for index, changes in enumerate(runs):
            write_result(f"run{index}", **changes)
        (section,) = tables.sections(results.newest(results.find([tmp_path]).results), PUBLISHED)
        return section.table

    return build


def column(table: tables.Table, title: str) -> columns.Column:
    return next(column for column in table.columns if column.title == title)


def titles(table: tables.Table) -> list[str]:
    return [column.heading for column in table.columns]


def test_headings_carry_units(one_table) -> None:
    assert titles(one_table({})) == [
        "acc (%)",
        "published acc (%)",
        "310P3 (samples/s)",
        "310P3 published (samples/s)",
        "310P3 measured/published",
        "310P3 mean latency (ms)",
    ]


def test_a_row_a_batch_size_in_order(one_table) -> None:
    table = one_table({"batch": 16, "samples_per_second": 3.0}, {"batch": 2, "samples_per_second": 1.0})
    assert table.batches == (2, 16)
    assert column(table, "310P3").values == (1.0, 3.0)


def test_measured_over_published_of_the_same_soc_and_batch(one_table) -> None:
    table = one_table({"batch": 1, "samples_per_second": 100.0}, {"batch": 4, "samples_per_second": 1000.0})
    assert column(table, "310P3 measured/published").values == (0.5, 1.25)


def test_the_best_row_is_the_ratio_of_the_best_throughputs(one_table) -> None:
    table = one_table(
        {"batch": 1, "samples_per_second": 100.0},
        {"batch": 4, "samples_per_second": 60.0},
        {"batch": 1, "samples_per_second": 20.0, "soc": "310"},
        {"batch": 4, "samples_per_second": 50.0, "soc": "310"},
    )
    assert column(table, "310P/310").values == (5.0, 1.2)
    assert column(table, "310P/310").best == 2.0
    assert table.best_rows == (("310 (4 chips)", 1), ("310P3", 0))


def test_a_ratio_is_blank_where_a_soc_lacks_the_batch(one_table) -> None:
    table = one_table({"batch": 1}, {"batch": 4}, {"batch": 1, "soc": "t4"})
    assert column(table, "310P/T4").values == (1.0, None)


def test_a_published_zero_gives_no_ratio(one_table) -> None:
    table = one_table({"soc": "310", "samples_per_second": 5.0})
    assert column(table, "310 (4 chips) measured/published").values == (None,)
    assert column(table, "310 (4 chips) measured/published").best is None


def test_there_is_no_published_column_where_nothing_is_published(one_table) -> None:
    assert "cpu published (samples/s)" not in titles(one_table({"soc": "cpu"}))


def test_a_measurement_that_does_not_count_is_marked_and_never_the_best(one_table) -> None:
    table = one_table(
        {"batch": 1, "samples_per_second": 1.0}, {"batch": 4, "samples_per_second": 9.0, "reasons": ["unstable"]}
    )
    measured = column(table, "310P3")
    assert (measured.best, measured.notes) == (1.0, ((), (0,)))
    assert table.footnotes == ("not a valid measurement: unstable",)
    assert columns.cell(measured, 1) == "9.000 [1]"


def test_no_batch_is_best_where_no_measurement_counts(one_table) -> None:
    table = one_table({"reasons": ["too short"]})
    assert tables.best_in_words(table) == "310P3 none, as no measurement is valid"


def test_a_ratio_of_a_measurement_that_does_not_count_is_marked(one_table) -> None:
    table = one_table({"reasons": ["device busy"]}, {"soc": "t4"})
    assert columns.cell(column(table, "310P/T4"), 0) == "1.00 [1]"


def test_substitute_data_is_marked_with_the_reason(one_table, make_gate) -> None:
    table = one_table({"gates": [make_gate("accuracy.acc", "skip", 0.1, 100.0, "synthetic pictures")]})
    assert columns.cell(column(table, "acc"), 0) == "100.00 [1]"
    assert table.footnotes == ("not compared with what is published: synthetic pictures",)


def test_random_weights_are_marked_even_without_gates(one_table) -> None:
    table = one_table({"origin": "random", "gates": []})
    assert table.title == "dcgan (noise, random weights)"
    assert table.footnotes == ("not compared with what is published: random weights",)


def test_made_up_data_and_a_limit_are_marked(one_table) -> None:
    table = one_table({"stand_in": "synthetic pictures", "limit": 10, "gates": []})
    assert table.footnotes == ("not compared with what is published: synthetic pictures", "run with limit=10")


def test_a_failed_gate_is_marked(one_table, make_gate) -> None:
    table = one_table({"gates": [make_gate("accuracy.acc", "fail", 91.0, 100.0)]})
    assert table.footnotes == ("gate failed: acc 91.00 (published 100, at most 1.0 below)",)


def test_runs_that_cannot_be_compared_are_in_tables_of_their_own(write_result, tmp_path) -> None:
    write_result("real")
    write_result("made_up", origin="random")
    write_result("other_data", dataset="synthetic_images")
    assert len(tables.sections(results.newest(results.find([tmp_path]).results), {})) == 3


def test_two_tools_of_one_soc_have_columns_of_their_own(one_table) -> None:
    table = one_table({}, {"tool": "ais_infer"})
    assert "310P3 ais_bench (samples/s)" in titles(table)
    assert "310P3 ais_infer (samples/s)" in titles(table)


def test_a_metric_that_is_not_a_number_is_told(one_table) -> None:
    assert columns.cell(column(one_table({"accuracy": {"cosine": float("nan")}}), "cosine"), 0) == "NaN"


def test_the_published_table_has_the_guides_ratios() -> None:
    rows = [
        PublishedConfig(soc="310", batch=1, samples_per_second=10773.603, source="s"),
        PublishedConfig(soc="310P3", batch=1, samples_per_second=7573.25, source="s"),
        PublishedConfig(soc="t4", batch=1, samples_per_second=9330.62, source="s"),
    ]
    table = tables.published_table("dcgan", rows, {})
    assert columns.cell(column(table, "310P/310"), 0) == "0.70"
    assert columns.cell(column(table, "310P/T4"), 0) == "0.81"


def costs(**told: float) -> dict:
    """A measurement whose tool tells what a load and a first call cost."""
    return {"performance": {"samples_per_second": 100.0, "latency_ms": {"mean": 2.0}, **told}}


def test_what_a_load_and_a_first_call_cost_has_columns(one_table) -> None:
    table = one_table(costs(load_ms=345.5, first_call_ms=45.25, peak_rss_mib=789.5))
    assert titles(table)[-4:] == [
        "310P3 mean latency (ms)",
        "310P3 load time (ms)",
        "310P3 first call (ms)",
        "310P3 peak memory (MiB)",
    ]
    assert [column.values for column in table.columns[-4:]] == [(2.0,), (345.5,), (45.25,), (789.5,)]
    assert [columns.cell(column, 0) for column in table.columns[-4:]] == ["2.000", "345.500", "45.250", "789.5"]


def test_a_cost_that_no_tool_tells_has_no_column(one_table) -> None:
    table = one_table(costs(load_ms=345.5), {"batch": 4})
    assert column(table, "310P3 load time").values == (345.5, None)
    assert not {"310P3 first call (ms)", "310P3 peak memory (MiB)"} & set(titles(table))


def test_what_a_call_costs_is_in_the_table_of_performance_alone(one_table) -> None:
    table = one_table(costs(load_ms=1.0, first_call_ms=2.0, peak_rss_mib=3.0))
    told = {"310P3 load time (ms)", "310P3 first call (ms)", "310P3 peak memory (MiB)"}
    assert told <= set(titles(tables.performance_part(table)))
    assert titles(tables.accuracy_part(table)) == ["acc (%)", "published acc (%)"]


def test_a_metric_has_the_unit_that_its_result_says(one_table) -> None:
    meanings = {"psnr": {"unit": "dB", "better": "higher"}, "rmse": {"unit": "m", "better": "lower"}}
    table = one_table({"accuracy": {"psnr": 29.254, "rmse": 0.12345, "samples": 8}, "metrics": meanings, "gates": []})
    assert titles(table)[:2] == ["psnr (dB)", "rmse (m)"]
    assert [columns.cell(column, 0) for column in table.columns[:2]] == ["29.25", "0.1235"]


def test_a_metric_of_an_older_result_has_no_unit(one_table) -> None:
    table = one_table({"metrics": {}})
    assert titles(table)[:2] == ["acc", "published acc"]


def test_the_published_table_has_the_units_of_the_runs() -> None:
    rows = [PublishedConfig(soc="310", batch=1, accuracy={"top1": 67.3}, source="s")]
    table = tables.published_table("moco_v2", rows, {"top1": results.Meaning("percent", "higher")})
    assert titles(table)[0] == "310 top1 (%)"


def compared(reference: float, tool: float, samples: int = 64) -> dict:
    return {
        "samples": samples,
        "cosine": 1.0,
        "reference": "PyTorch",
        "accuracy": {"acc": reference},
        "tool_accuracy": {"acc": tool},
    }


def test_the_references_metric_stands_beside_the_tools_where_they_differ(one_table) -> None:
    table = one_table({"batch": 1, "fidelity": compared(99.5, 100.0)}, {"batch": 4, "fidelity": compared(100.0, 100.0)})
    assert titles(table)[:3] == ["acc (%)", "published acc (%)", "acc by PyTorch (%)"]
    assert column(table, "acc by PyTorch").values == (99.5, 100.0)
    assert column(table, "acc by PyTorch").notes == ((), ())


def test_the_references_metric_is_left_out_where_the_shown_digits_agree(one_table) -> None:
    assert not any("PyTorch" in title for title in titles(one_table({"fidelity": compared(99.9951, 100.0)})))


def test_a_reference_of_fewer_samples_says_what_the_tool_gives_on_them(one_table) -> None:
    table = one_table({"fidelity": compared(99.0, 97.5, samples=16)})
    (note,) = column(table, "acc by PyTorch").notes[0]
    assert table.footnotes[note] == "on 16 samples, of which the tool's outputs give acc 97.50 %"


def test_an_outside_models_reference_is_named(one_table) -> None:
    table = one_table({"fidelity": {**compared(1.0, 2.0), "reference": "ONNX Runtime without optimisation"}})
    assert column(table, "acc by ONNX Runtime without optimisation").values == (1.0,)


def keys(table: tables.Table) -> dict[str, tuple[str, ...]]:
    return {key.title: key.texts for key in table.keys}


def test_jobs_that_differ_in_overridden_keys_have_a_row_each_and_a_column_a_key(one_table) -> None:
    sweep = [f"model.export.opset={opset} tool.adapter.threads={threads}" for opset in (11, 9) for threads in (1, 2)]
    table = one_table(*({"overrides": job.split()} for job in sweep))
    assert keys(table) == {"opset": ("9", "9", "11", "11"), "threads": ("1", "2", "1", "2")}
    assert column(table, "310P3").values == (100.0,) * 4


def test_no_job_of_a_sweep_over_several_keys_is_lost(one_table) -> None:
    jobs = [
        {"batch": batch, "overrides": [f"seed={seed}", f"gates.accuracy.tolerance={tolerance}"], "limit": limit}
        for batch in (1, 4)
        for seed in (0, 1)
        for tolerance in (1.0, 2.0)
        for limit in (None, 8)
    ]
    table = one_table(*jobs)
    assert len(table.batches) == len(jobs)
    assert list(keys(table)) == ["tolerance", "seed", "limit"]


def test_machines_and_versions_that_differ_have_a_column(one_table) -> None:
    epyc = {"host": "a", "cpu": "EPYC", "packages": {"torch": "2.0", "onnx": "1"}}
    kunpeng = {"host": "b", "cpu": "Kunpeng 920", "packages": {"torch": "2.1", "onnx": "1"}}
    table = one_table({"environment": epyc}, {"environment": kunpeng})
    assert keys(table) == {
        "host": ("a", "b"),
        "cpu": ("EPYC", "Kunpeng 920"),
        "versions": ("torch 2.0", "torch 2.1"),
    }


def test_keys_that_were_edited_have_a_column(write_result, tmp_path) -> None:
    for batch, resize in ((1, 70), (4, 70), (8, 72)):
        path = write_result(f"run{batch}", batch=batch)
        (path.parent / "config.yaml").write_text(f"model:\n  preprocess:\n    resize: {resize}\n")
    runs = results.with_edits(results.newest(results.find([tmp_path]).results))
    (section,) = tables.sections(runs, PUBLISHED)
    assert keys(section.table) == {"resize": ("70", "70", "72")}


def test_what_differs_between_socs_alone_is_a_remark_and_they_share_a_row(one_table) -> None:
    table = one_table({"environment": {"host": "a"}}, {"soc": "t4", "environment": {"host": "b"}})
    assert (table.batches, keys(table)) == ((1,), {})
    assert table.remarks == ("host: a (310P3), b (t4)",)


def test_keys_that_end_alike_are_told_in_full(one_table) -> None:
    table = one_table({"overrides": ["model.x.size=1", "dataset.size=2"]}, {"overrides": ["dataset.size=3"]})
    assert keys(table) == {"dataset.size": ("2", "3"), "model.x.size": ("1", "")}


def test_the_best_job_is_told_with_what_tells_it_apart(one_table) -> None:
    slow, fast = ({"overrides": [f"tool.adapter.threads={n}"], "samples_per_second": float(n)} for n in (1, 2))
    assert tables.best_in_words(one_table(slow, fast)) == "310P3 1 threads=2"


def test_a_card_with_several_chips_says_so(one_table) -> None:
    assert "310 (4 chips) (samples/s)" in titles(one_table({"soc": "310"}))
    rows = [PublishedConfig(soc="310", batch=1, samples_per_second=1.0, source="s")]
    assert titles(tables.published_table("dcgan", rows, {})) == ["310 (4 chips) (samples/s)"]


def test_a_published_figure_for_another_batch_is_named_as_such(one_table, make_gate) -> None:
    gate = make_gate("accuracy.acc", "pass", 100.0, 100.0) | {"expected_for": "310P3, batch 16"}
    table = one_table({"gates": [gate]})
    assert columns.cell(column(table, "published acc"), 0) == "100.00 [1]"
    assert table.footnotes == ("published for 310P3, batch 16",)


def test_a_misprint_is_marked_and_never_best() -> None:
    rows = [
        PublishedConfig(soc="310P3", batch=1, samples_per_second=10.0, source="s"),
        PublishedConfig(soc="310P3", batch=64, samples_per_second=640.0, source="s", misprint="times 64"),
    ]
    table = tables.published_table("m", rows, {})
    measured = column(table, "310P3")
    assert (columns.cell(measured, 1), measured.best) == ("640.00 [1]", 10.0)
    assert table.footnotes == ("a misprint in its source: times 64",)


def test_a_misprint_is_no_measure_of_a_run(write_result, tmp_path) -> None:
    write_result("run")
    rows = {"dcgan": (PublishedConfig(soc="310P3", batch=1, samples_per_second=1.0, source="s", misprint="m"),)}
    (section,) = tables.sections(results.newest(results.find([tmp_path]).results), rows)
    assert column(section.table, "310P3 measured/published").values == (None,)


def test_reasons_against_a_comparison_are_told_once(one_table, make_gate) -> None:
    gate = make_gate("accuracy", "skip", None, None, "random weights; drawn; no published accuracy for this model")
    table = one_table({"origin": "random", "stand_in": "drawn", "gates": [gate]})
    assert table.footnotes == (
        "not compared with what is published: random weights; drawn; no published accuracy for this model",
    )


def test_throughputs_with_copies_do_not_stand_beside_published_ones(one_table) -> None:
    run = {"tool": "onnxruntime", "performance": {"samples_per_second": 100.0, "includes_copies": True}}
    table = one_table(run, run | {"soc": "310"})
    assert column(table, "310P3").values == (100.0,)
    assert not {"310P3 published (samples/s)", "310P3 measured/published", "310P/310"} & set(titles(table))
    assert table.footnotes == ("latencies include the copies between host and device, unlike published ones",)


def test_a_throughput_of_one_model_for_several_batch_sizes_has_a_note(one_table) -> None:
    gears = {"performance": {"samples_per_second": 100.0, "gears": ["batch 1", "batch 4"]}}
    table = one_table({"batch": 1, "overrides": ["batch.gears=[1,4]"]} | gears, {"batch": 1})
    assert "one compiled model serves batch 1, batch 4" in table.footnotes
    assert [key.title for key in table.keys] == ["gears"]
