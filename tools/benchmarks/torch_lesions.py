"""The networks for lesions in PyTorch, written from the papers, for parity tests.

FRRN type A: Pohlen et al., CVPR 2017, table 1. ResNet: He et al., CVPR 2016, with the
names of layers of torchvision, which takes the stride of a bottleneck at its 3x3.
"""

import torch
from torch import nn
from torch.nn import functional


def conv_bn(c: int, f: int, size: int, stride: int = 1) -> nn.Sequential:
    """Return convolution without bias, then BatchNorm."""
    conv = nn.Conv2d(c, f, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(f))


class Residual(nn.Module):
    """Residual unit: conv, BN, ReLU, conv, BN, then the sum."""

    def __init__(self, c: int, f: int):
        super().__init__()
        self.first, self.second = conv_bn(c, f, 3), conv_bn(f, f, 3)
        self.project = None if c == f else nn.Conv2d(c, f, 1, bias=False)

    def forward(self, x):
        """Map `[B, c, H, W]` to `[B, f, H, W]`."""
        y = self.second(functional.relu(self.first(x)))
        return y + (x if self.project is None else self.project(x))


class FRRU(nn.Module):
    """Full-resolution residual unit with pooling by `scale`."""

    def __init__(self, c: int, f: int, lanes: int, scale: int):
        super().__init__()
        self.scale = scale
        self.first, self.second = conv_bn(c + lanes, f, 3), conv_bn(f, f, 3)
        self.to_lanes = nn.Conv2d(f, lanes, 1)

    def forward(self, x, lanes):
        """Return pooling and residual stream."""
        pooled = functional.max_pool2d(lanes, self.scale)
        x = functional.relu(self.first(torch.cat([x, pooled], 1)))
        x = functional.relu(self.second(x))
        back = functional.interpolate(self.to_lanes(x), scale_factor=self.scale)
        return x, lanes + back


class FRRN(nn.Module):
    """Type A for images with sides in multiples of 16.

    Args:
        b: Channels at full resolution; 48 in the paper.
        lanes: Channels of the residual stream; 32 in the paper.
        classes: Outputs.
    """

    def __init__(self, b: int = 48, lanes: int = 32, classes: int = 2):
        super().__init__()
        self.stem = conv_bn(3, b, 5)
        self.before = nn.ModuleList([Residual(b, b) for _ in range(3)])
        self.split = conv_bn(b, lanes, 1)
        # Scale of the pooling stream and channels of each unit.
        plan = [(2, 2 * b)] * 3 + [(4, 4 * b)] * 4 + [(8, 8 * b)] * 2
        plan += [(16, 8 * b)] * 2
        plan += [(8, 4 * b)] * 2 + [(4, 4 * b)] * 2 + [(2, 2 * b)] * 2
        sizes = [b, *(f for _, f in plan)]
        self.plan = plan
        self.units = nn.ModuleList(
            [FRRU(c, f, lanes, s) for c, (s, f) in zip(sizes, plan, strict=False)]
        )
        after = [Residual(2 * b + lanes, b), Residual(b, b), Residual(b, b)]
        self.after = nn.ModuleList(after)
        self.classify = nn.Conv2d(b, classes, 1)

    def forward(self, x):
        """Map `[B, 3, H, W]` to logits `[B, classes, H, W]`."""

        def double(x):
            return functional.interpolate(
                x, scale_factor=2, mode="bilinear", align_corners=False
            )

        x = functional.relu(self.stem(x))
        for unit in self.before:
            x = unit(x)
        lanes, scale = self.split(x), 1
        for unit, (own, _) in zip(self.units, self.plan, strict=True):
            if own > scale:
                x = functional.max_pool2d(x, 2)
            elif own < scale:
                x = double(x)
            scale = own
            x, lanes = unit(x, lanes)
        x = torch.cat([double(x), lanes], 1)
        for unit in self.after:
            x = unit(x)
        return self.classify(x)


class Block(nn.Module):
    """Basic block or bottleneck of torchvision's ResNet."""

    def __init__(self, c: int, f: int, stride: int, bottleneck: bool):
        super().__init__()
        out = 4 * f if bottleneck else f
        # Kernel, stride and channels of each convolution.
        steps = [(3, stride, f), (3, 1, f)]
        if bottleneck:
            steps = [(1, 1, f), (3, stride, f), (1, 1, out)]
        self.count, before = len(steps), c
        for i, (size, step, channels) in enumerate(steps, 1):
            conv = nn.Conv2d(before, channels, size, step, size // 2, bias=False)
            setattr(self, f"conv{i}", conv)
            setattr(self, f"bn{i}", nn.BatchNorm2d(channels))
            before = channels
        self.downsample = None
        if stride > 1 or c != out:
            self.downsample = conv_bn(c, out, 1, stride)

    def forward(self, x):
        """Map `[B, c, H, W]` to `[B, out, H / stride, W / stride]`."""
        y = x
        for i in range(1, self.count + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = functional.relu(y) if i < self.count else y
        return functional.relu(
            y + (x if self.downsample is None else self.downsample(x))
        )


class ResNet(nn.Module):
    """ResNet with torchvision's names.

    Args:
        widths: Channels of the stages.
        depths: Blocks of the stages.
        bottleneck: Kind of the blocks.
        stem_pool: Whether the stem ends in a 3x3 maximum at stride 2.
        classes: Outputs.
    """

    def __init__(self, widths, depths, *, bottleneck, stem_pool, classes=2):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.stages, self.stem_pool, c = len(widths), stem_pool, widths[0]
        for stage, (f, depth) in enumerate(zip(widths, depths, strict=True), 1):
            blocks = []
            for number in range(depth):
                stride = 2 if stage > 1 and number == 0 else 1
                blocks.append(Block(c, f, stride, bottleneck))
                c = 4 * f if bottleneck else f
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(c, classes)

    def forward(self, x):
        """Map `[B, 3, H, W]` to logits `[B, classes]`."""
        x = functional.relu(self.bn1(self.conv1(x)))
        if self.stem_pool:
            x = functional.max_pool2d(x, 3, 2, 1)
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))
