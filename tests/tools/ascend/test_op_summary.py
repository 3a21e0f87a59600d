import pytest

from runner.core import ToolError
from runner.tools.ascend import _op_summary as op_summary
from runner.tools.profile import Execution

# A file of CANN 8 with its metrics of the AI cores, as the tests of MindStudio's mskpp have it (github.com/Ascend).
OF_CANN_8 = (
    "Model ID,Task ID,Stream ID,Op Name,OP Type,Task Type,Task Start Time,Task Duration(us),Task Wait Time(us),"
    "Block Dim,Input Shapes,Input Data Types,Input Formats,Output Shapes,Output Data Types,Output Formats,"
    "aicore_time(us),total_cycles,vec_time(us),vec_ratio\n"
    "4294967295,1,47,add_custom,add_custom,AI_CORE,1043640017380.831,82.11,0,8,N/A,N/A,N/A,N/A,N/A,N/A,9.87,"
    "78923,0.2261,0.0229\n"
)
COLUMNS = "Op Name,OP Type,Task Type,Task Duration(us)\n"


def test_an_operators_execution_is_in_microseconds() -> None:
    assert list(op_summary.executions(OF_CANN_8)) == [Execution("add_custom", "add_custom", 0.08211)]


def test_shapes_with_commas_are_quoted() -> None:
    text = 'Input Shapes,Op Name,OP Type,Task Duration(us)\n"1,3;64,3",conv1,Conv2D,5\n'
    assert list(op_summary.executions(text)) == [Execution("conv1", "Conv2D", 0.005)]


def test_a_task_that_is_no_operator_is_left_out() -> None:
    assert list(op_summary.executions(f"{COLUMNS}N/A,N/A,EVENT,1.5\nconv1,Conv2D,AI_CORE,N/A\n")) == []


def test_a_file_of_another_format_is_told_with_its_columns() -> None:
    with pytest.raises(ToolError, match=r"no column Task Duration\(us\); it has Op Name, OP Type"):
        list(op_summary.executions("Op Name,OP Type\n"))


def test_a_field_beyond_the_limits_of_csv_is_told() -> None:
    with pytest.raises(ToolError, match="cannot be read as CSV: line 2: field larger than field limit"):
        list(op_summary.executions(f"{COLUMNS}conv1,{'x' * 200_000},AI_CORE,1\n"))


def test_a_truncated_file_is_told() -> None:
    with pytest.raises(ToolError, match="a duration of None for conv1"):
        list(op_summary.executions(f"{COLUMNS}conv1,Conv2D"))


@pytest.mark.parametrize("folder", ["PROF_1/device_0/summary", "PROF_1/mindstudio_profiler_output"])
def test_the_files_of_every_version_of_cann_are_found(tmp_path, folder) -> None:
    path = tmp_path / folder / "op_summary_0_1.csv"
    path.parent.mkdir(parents=True)
    path.touch()
    assert op_summary.find(tmp_path) == [path]


def test_no_file_is_told(tmp_path) -> None:
    with pytest.raises(ToolError, match=r"wrote no op_summary\*\.csv"):
        op_summary.find(tmp_path)
