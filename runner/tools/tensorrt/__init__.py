"""TensorRT: its trtexec builds engines and runs them."""

from runner.tools.tensorrt.build import TrtexecBuild
from runner.tools.tensorrt.run import Trtexec
