"""CRNN, a reader of lines of text (Shi et al., IEEE TPAMI 2017).

Parameters have the names of github.com/meijieru/crnn.pytorch.
"""

from __future__ import annotations

from torch import Tensor, nn

_WIDTHS = (64, 128, 256, 256, 512, 512, 512)
_NORMALISED = (2, 4, 6)
"""Convolutions followed by a batch norm."""
_HALVED = (0, 1)
"""Convolutions followed by a pooling that halves height and width."""
_FLATTENED = (3, 5)
"""Convolutions followed by a pooling that halves the height only."""


class Crnn(nn.Module):
    """Lines [N, channels, 32, W] in -1..1 -> logits [N, W / 4 + 1, classes] at each position, for CTC with blank 0.

    W is a multiple of 4; there is no softmax.
    """

    def __init__(self, classes: int = 37, channels: int = 1, hidden: int = 256) -> None:
        super().__init__()
        self.cnn = _convolutions(channels)
        self.rnn = nn.Sequential(
            _BidirectionalLstm(_WIDTHS[-1], hidden, hidden), _BidirectionalLstm(hidden, hidden, classes)
        )

    def forward(self, lines: Tensor) -> Tensor:
        features = self.cnn(lines).squeeze(2)
        return self.rnn(features.transpose(1, 2))


def _convolutions(channels: int) -> nn.Sequential:
    """[N, channels, 32, W] -> [N, 512, 1, W / 4 + 1]."""
    network = nn.Sequential()
    for index, width in enumerate(_WIDTHS):
        kernel_size, padding = (2, 0) if index == len(_WIDTHS) - 1 else (3, 1)
        network.add_module(f"conv{index}", nn.Conv2d(channels, width, kernel_size, padding=padding))
        if index in _NORMALISED:
            network.add_module(f"batchnorm{index}", nn.BatchNorm2d(width))
        network.add_module(f"relu{index}", nn.ReLU())
        if index in _HALVED:
            network.append(nn.MaxPool2d(2))
        if index in _FLATTENED:
            network.append(nn.MaxPool2d(2, stride=(2, 1), padding=(0, 1)))
        channels = width
    return network


class _BidirectionalLstm(nn.Module):
    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(inputs, hidden, bidirectional=True, batch_first=True)
        self.embedding = nn.Linear(2 * hidden, outputs)

    def forward(self, sequence: Tensor) -> Tensor:
        return self.embedding(self.rnn(sequence)[0])
