"""DenseNet in PyTorch, with torchvision's names of layers, for parity tests.

Written from Huang et al., CVPR 2017 (DenseNet-BC).
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional


class DenseLayer(nn.Module):
    """BN, ReLU, 1x1, BN, ReLU, 3x3; the input comes first in the result."""

    def __init__(self, c: int, growth: int, bn_size: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(c)
        self.conv1 = nn.Conv2d(c, bn_size * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth)
        self.conv2 = nn.Conv2d(bn_size * growth, growth, 3, padding=1, bias=False)

    def forward(self, x):
        """Map `[B, c, H, W]` to `[B, c + growth, H, W]`."""
        y = self.conv1(functional.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(functional.relu(self.norm2(y)))], 1)


class DenseNet(nn.Module):
    """DenseNet for images of three channels.

    Args:
        growth: Channels that a layer adds.
        blocks: Layers of the dense blocks.
        stem: Channels of the first convolution.
        bn_size: Channels between the convolutions of a layer, in growths.
        classes: Outputs.
    """

    def __init__(
        self, *, growth=32, blocks=(6, 12, 24, 16), stem=64, bn_size=4, classes=1000
    ):
        super().__init__()
        steps = OrderedDict(
            conv0=nn.Conv2d(3, stem, 7, 2, 3, bias=False),
            norm0=nn.BatchNorm2d(stem),
            relu0=nn.ReLU(),
            pool0=nn.MaxPool2d(3, 2, 1),
        )
        c = stem
        for number, depth in enumerate(blocks, 1):
            if number > 1:
                steps[f"transition{number - 1}"] = nn.Sequential(
                    OrderedDict(
                        norm=nn.BatchNorm2d(c),
                        relu=nn.ReLU(),
                        conv=nn.Conv2d(c, c // 2, 1, bias=False),
                        pool=nn.AvgPool2d(2),
                    )
                )
                c //= 2
            layers = OrderedDict()
            for layer in range(1, depth + 1):
                layers[f"denselayer{layer}"] = DenseLayer(c, growth, bn_size)
                c += growth
            steps[f"denseblock{number}"] = nn.Sequential(layers)
        steps["norm5"] = nn.BatchNorm2d(c)
        self.features = nn.Sequential(steps)
        self.classifier = nn.Linear(c, classes)

    def forward(self, x):
        """Map `[B, 3, H, W]` to logits `[B, classes]`."""
        return self.classifier(functional.relu(self.features(x)).mean((2, 3)))
