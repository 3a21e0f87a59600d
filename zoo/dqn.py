"""The Atari Q network of Mnih et al., Nature 518 (2015).

Its parameters have the names of NatureConvBody in github.com/ShangtongZhang/DeepRL.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NatureConvBody(nn.Module):
    """Frames [N, 4, 84, 84] -> features [N, 512]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 32, kernel_size=8, stride=4)
        self.conv2 = nn.Conv2d(32, 64, kernel_size=4, stride=2)
        self.conv3 = nn.Conv2d(64, 64, kernel_size=3, stride=1)
        self.fc4 = nn.Linear(64 * 7 * 7, 512)

    def forward(self, frames: Tensor) -> Tensor:
        features = torch.relu(self.conv1(frames))
        features = torch.relu(self.conv2(features))
        features = torch.relu(self.conv3(features))
        return torch.relu(self.fc4(features.flatten(1)))


class NatureDQN(nn.Module):
    """Four stacked grey frames [N, 4, 84, 84] -> Q values [N, actions]; the policy is their argmax."""

    def __init__(self, actions: int = 4) -> None:
        super().__init__()
        self.body = NatureConvBody()
        self.fc_head = nn.Linear(512, actions)

    def forward(self, frames: Tensor) -> Tensor:
        return self.fc_head(self.body(frames))
