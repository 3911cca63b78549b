"""IDRiD's layout, and what `evaluate lesions` makes of it."""

import numpy as np
import pytest
from made_lesion_scores import SIDE, made_mask, run, use_channels, write_photograph
from PIL import Image


@pytest.fixture(autouse=True)
def detector(monkeypatch):
    use_channels(monkeypatch)


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """IDRiD's layout; 58 has no microaneurysms."""
    folder = tmp_path_factory.mktemp("idrid")
    images = folder / "1. Original Images" / "b. Testing Set"
    masks = folder / "2. All Segmentation Groundtruths" / "b. Testing Set"
    masks = masks / "1. Microaneurysms"
    masks.mkdir(parents=True)
    for number in (55, 56, 57, 58):
        mask = made_mask(number) if number < 58 else np.zeros((SIDE, SIDE), bool)
        write_photograph(images / f"IDRiD_{number}.png", mask, number)
        if number < 58:
            picture = Image.fromarray(np.uint8(mask))
            picture.save(masks / f"IDRiD_{number}_MA.tif")
    return folder


@pytest.fixture(scope="session")
def finished(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    with pytest.MonkeyPatch.context() as patch:
        use_channels(patch)
        assert run(root, out, "--weights", "w") == 0
    return out
