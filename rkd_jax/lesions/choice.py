"""Which of the weights that come with the package find a lesion."""

from __future__ import annotations

from rkd_jax.weights import packaged

DEFAULT = packaged.LESIONS[0]
"""What is found where nobody says what to find."""


def choose_weights(lesion: str) -> str:
    """Return the name of the packaged weights for a lesion.

    Args:
        lesion: such as "microaneurysms"; weights have the name of what they find.

    Raises:
        ValueError: there are none; the message lists those there are.
    """
    if lesion in packaged.LESIONS:
        return lesion
    raise ValueError(
        f"no weights for {lesion!r} come with the package (there are: "
        f"{', '.join(packaged.LESIONS)}); give a file of yours with --weights, as the "
        "experiment `lesions` trains"
    )
