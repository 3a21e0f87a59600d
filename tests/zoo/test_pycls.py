"""The hook against an EfficientNet written as pycls has it: two stages, names and order of layers."""

import timm
import torch
from torch import nn

from zoo import pycls


class SE(nn.Module):
    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.f_ex = nn.Sequential(nn.Conv2d(width, squeezed, 1), nn.SiLU(), nn.Conv2d(squeezed, width, 1), nn.Sigmoid())

    def forward(self, x):
        return x * self.f_ex(x.mean((2, 3), keepdim=True))


class Block(nn.Module):
    def __init__(self, width: int, expansion: int, kernel: int, stride: int, out: int) -> None:
        super().__init__()
        wide = width * expansion
        if expansion > 1:
            self.exp, self.exp_bn = nn.Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide)
        self.dwise = nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False)
        self.dwise_bn = nn.BatchNorm2d(wide)
        self.se = SE(wide, width // 4)
        self.lin_proj, self.lin_proj_bn = nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out)
        self.skips = stride == 1 and width == out
        self.act = nn.SiLU()

    def forward(self, x):
        wide = self.act(self.exp_bn(self.exp(x))) if hasattr(self, "exp") else x
        out = self.lin_proj_bn(self.lin_proj(self.se(self.act(self.dwise_bn(self.dwise(wide))))))
        return x + out if self.skips else out


class Stem(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32)

    def forward(self, x):
        return nn.functional.silu(self.bn(self.conv(x)))


class Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.conv_bn = nn.Conv2d(320, 1280, 1, bias=False), nn.BatchNorm2d(1280)
        self.fc = nn.Linear(1280, 1000)

    def forward(self, x):
        return self.fc(nn.functional.silu(self.conv_bn(self.conv(x))).mean((2, 3)))


# EfficientNet-B0: blocks, width, expansion, stride, kernel of each stage
STAGES = [(1, 16, 1, 1, 3), (2, 24, 6, 2, 3), (2, 40, 6, 2, 5), (3, 80, 6, 2, 3)]
STAGES += [(3, 112, 6, 1, 5), (4, 192, 6, 2, 5), (1, 320, 6, 1, 3)]


def effnet() -> nn.Sequential:
    network, width = nn.Sequential(), 32
    network.add_module("stem", Stem())
    for number, (depth, out, expansion, stride, kernel) in enumerate(STAGES, 1):
        stage = nn.Sequential()
        for index in range(depth):
            stage.add_module(f"b{index + 1}", Block(width, expansion, kernel, stride if index == 0 else 1, out))
            width = out
        network.add_module(f"s{number}", stage)
    network.add_module("head", Head())
    return network


def test_timms_network_computes_what_pyclss_computes() -> None:
    torch.manual_seed(0)
    theirs, ours = effnet().eval(), timm.create_model("efficientnet_b0").eval()
    for norm in theirs.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
    ours.load_state_dict(pycls.efficientnet(theirs.state_dict(), ours))
    pictures = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = theirs(pictures)
        torch.testing.assert_close(ours(pictures), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
