"""The paper's networks in PyTorch, by docs/paper/specification.md, section 2.

Layers have their names in the authors' files, so that `rkd_jax.weights.convert` takes
the state dicts. The parity tests and the benchmark share them.
"""

import torch
from torch import nn
from torch.nn import functional


def add_descriptor_head(model: nn.Module, channels: int) -> None:
    """Give a module the four layers of the descriptor head."""
    model.convDa = nn.Conv2d(channels, 256, 3, padding=1)
    model.convDb = nn.Conv2d(256, 256, 4, stride=2)
    model.convDc = nn.Conv2d(256, 256, 1)
    model.trans_conv = nn.ConvTranspose2d(256, 256, 2, stride=2)


def describe(model: nn.Module, x, activation=torch.relu):
    """Run the descriptor head: `[B, C, n, m]` to `[B, 256, n - 2, m - 2]`."""
    y = activation(model.convDb(activation(model.convDa(x))))
    y = model.convDc(y)
    return model.trans_conv(y / y.norm(dim=1, keepdim=True))


class SuperRetina(nn.Module):
    """SuperRetina's U-Net; with `kernels`, the large-kernel encoder.

    Args:
        kernels: Sides of the parallel kernels; none is the U-Net.
    """

    def __init__(self, kernels: tuple[int, ...] = ()):
        super().__init__()
        self.kernels = kernels

        def conv(c, f, size=3):
            return nn.Conv2d(c, f, size, padding=size // 2)

        self.conv1a, self.conv1b = conv(1, 64), conv(64, 64)
        for stage, (c, f) in enumerate(((64, 64), (64, 128), (128, 128)), 2):
            if kernels:
                setattr(self, f"conv{stage}", conv(c, f))
                for letter, size in zip("abcd", kernels):
                    setattr(self, f"conv{stage}{letter}", conv(f, f, size))
            else:
                setattr(self, f"conv{stage}a", conv(c, f))
                setattr(self, f"conv{stage}b", conv(f, f))
        add_descriptor_head(self, 128)
        for stage, c, f in ((3, 256, 128), (2, 192, 64), (1, 128, 64)):
            up = nn.Sequential(conv(c, f), nn.ReLU(), conv(f, f), nn.ReLU())
            setattr(self, f"dconv_up{stage}", up)
        self.conv_last = conv(64, 1, 1)
        if kernels:
            self.relu = nn.PReLU()

    def _stage(self, stage, x, activation):
        if not self.kernels:
            x = activation(getattr(self, f"conv{stage}a")(x))
            return activation(getattr(self, f"conv{stage}b")(x))
        x = activation(getattr(self, f"conv{stage}")(x))
        letters = "abcd"[: len(self.kernels)]
        branches = [getattr(self, f"conv{stage}{letter}")(x) for letter in letters]
        return activation(x + sum(branches))

    def forward(self, x):
        """Return heatmap, logits and descriptors of `[B, 1, H, W]`."""
        activation = self.relu if self.kernels else torch.relu
        x = activation(self.conv1b(activation(self.conv1a(x))))
        skips = [x]
        for stage in (2, 3, 4):
            x = self._stage(stage, functional.max_pool2d(x, 2), activation)
            skips.append(x)
        descriptors = describe(self, x, activation)
        for stage in (3, 2, 1):
            x = functional.interpolate(
                x, scale_factor=2, mode="bilinear", align_corners=True
            )
            x = torch.cat([x, skips[stage - 1]], 1)
            x = getattr(self, f"dconv_up{stage}")(x)
        logits = self.conv_last(x)
        return torch.sigmoid(logits.float()), logits, descriptors


def swin_maps(model: nn.Module, x) -> dict:
    """Return hidden states `h0` .. `h4`, `dec2` and `logits` of MONAI's `SwinUNETR`."""
    states = model.swinViT(x, normalize=True)
    skip = model.encoder4(states[2])
    dec3 = model.decoder5(model.encoder10(states[4]), states[3])
    dec2 = model.decoder4(dec3, skip)
    dec1 = model.decoder3(dec2, model.encoder3(states[1]))
    dec0 = model.decoder2(dec1, model.encoder2(states[0]))
    logits = model.out(model.decoder1(dec0, model.encoder1(x)))
    named = {f"h{i}": state for i, state in enumerate(states)}
    return named | {"dec2": dec2, "logits": logits}


class SwinStudent(nn.Module):
    """MONAI's Swin UNETR with the descriptor head on `dec2`.

    Args:
        drop_rate: Dropout of the encoder in training.
    """

    def __init__(self, drop_rate: float = 0.5):
        from monai.networks.nets import SwinUNETR

        super().__init__()
        self.net = SwinUNETR(1, 1, feature_size=24, spatial_dims=2, drop_rate=drop_rate)
        add_descriptor_head(self, 96)

    def forward(self, x):
        """Return heatmap, logits and descriptors of `[B, 1, H, W]`."""
        maps = swin_maps(self.net, x)
        logits = maps["logits"]
        return torch.sigmoid(logits.float()), logits, describe(self, maps["dec2"])
