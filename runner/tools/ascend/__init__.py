"""Ascend: CANN's atc as the compiler, ais_bench and its predecessors as inference tools."""

from runner.tools.ascend._aipp import aipp_config
from runner.tools.ascend.ais_bench import AisBench
from runner.tools.ascend.ais_infer import AisInfer
from runner.tools.ascend.atc import Atc
from runner.tools.ascend.benchmark_tool import BenchmarkTool
from runner.tools.ascend.cann import environment_scripts
