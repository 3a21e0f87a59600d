"""Inference tools and compilers: the protocols, and a folder per vendor."""

from runner.tools.compiler import Compiler, CompileRequest
from runner.tools.profile import ProfilingTool
from runner.tools.tool import DryRunPaths, Measuring, PathChecking, Tool, using_devices
