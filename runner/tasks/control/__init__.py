"""Control: game states from the network's own play in, action values out, compared with PyTorch's action."""

from runner.tasks.control.atari import AtariFrames
