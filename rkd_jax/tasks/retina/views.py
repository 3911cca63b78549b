"""The three images of a training example: raw, detector-warped, descriptor-warped.

All are crops of one side length. The warped ones are sampled from the whole image, so
that a crop has no empty corners where the image goes on.
"""

import flax.struct
import jax
import jax.numpy as jnp

from rkd_jax import augment
from rkd_jax.geometry.deformation import Deformation, flat, undeform
from rkd_jax.geometry.warp import pixel_grid, sample
from rkd_jax.keypoints import within_border

Array = jax.Array


@flax.struct.dataclass
class Views:
    """One example as a step sees it; `C` is the side of the crop.

    Attributes:
        origin: int32 `[2]`, (x, y) of the crop in the image, pixels.
        size: int32 `[2]`, (height, width) of the crop that is image, not padding.
        raw: float32 `[C, C, 1]`, the crop itself.
        field: bool `[C, C]`, where keypoints may lie on the crop.
        detector: float32 `[C, C, 1]`, the crop under `h_detector`.
        descriptor: float32 `[C, C, 1]`, the crop under `descriptor_warp`.
        h_detector: float32 `[3, 3]`, raw crop to detector crop.
        descriptor_warp: raw crop to descriptor crop.
        labels: float32 `[N, 2]`, labeled keypoints in the raw crop.
        labels_mask: bool `[N]`.
    """

    origin: Array
    size: Array
    raw: Array
    field: Array
    detector: Array
    descriptor: Array
    h_detector: Array
    descriptor_warp: Deformation
    labels: Array
    labels_mask: Array


def make_views(
    key: Array,
    example: dict[str, Array],
    *,
    crop: int,
    detector_geometry: str,
    descriptor_geometry: str,
    light: str,
    clip_light: bool = True,
    deformation: str = "none",
    mask_field: bool = True,
) -> Views:
    """Draw the views of one example.

    Args:
        key: of this example and step.
        example: `image [S, S, 1]` float32 0..1, `size [2]` int32 (height, width of what
            is not padding), `field [S, S]` bool (where keypoints may lie, read where
            `mask_field`), `keypoints [N, 2]`, `keypoint_mask [N]`.
        crop: side of the views, pixels; 0 takes the whole image.
        detector_geometry: preset of `rkd_jax.augment.sample_geometry`.
        descriptor_geometry: likewise.
        light: "paper" (one light for all, jitter on the descriptor image), "visit"
            (independent lights), "modality" (the same, and each view may be of another
            modality or hazy) or "none".
        clip_light: False lets the loader's light of "paper" pass 1, as upstream.
        deformation: preset of `rkd_jax.augment.sample_deformation` that bends the
            descriptor image.
        mask_field: False takes all that is not padding for the fundus, as upstream.

    Source: RKD's augmentation (docs/paper/specification.md §4); `crop` and "visit" are
    ours.
    """
    image = example["image"]
    side = crop or image.shape[0]
    keys = dict(
        zip(("crop", "detector", "descriptor", "light"), jax.random.split(key, 4))
    )
    slack = jnp.maximum(example["size"][::-1] - side, 0)
    origin = jax.random.randint(
        keys["crop"], (2,), jnp.zeros((2,), jnp.int32), slack + 1
    )
    shift = origin.astype(jnp.float32)
    h_detector = augment.sample_geometry(
        keys["detector"], (side, side), detector_geometry
    )
    h_descriptor = augment.sample_geometry(
        keys["descriptor"], (side, side), descriptor_geometry
    )
    middle = 0.5 * (example["size"][::-1].astype(jnp.float32) - 1.0)
    descriptor_warp = augment.sample_deformation(
        jax.random.fold_in(keys["descriptor"], 1),
        h_descriptor,
        center=middle - shift,
        width=example["size"][1].astype(jnp.float32),
        preset=deformation,
    )

    def seen_through(warp: Deformation) -> Array:
        source = undeform(warp, pixel_grid((side, side)))
        return sample(image, source + shift.reshape(1, 1, 2))

    zero = jnp.zeros((), jnp.int32)
    raw = jax.lax.dynamic_slice(image, (origin[1], origin[0], zero), (side, side, 1))
    size = jnp.minimum(example["size"] - origin[::-1], side)
    if mask_field:
        corner = (origin[1], origin[0])
        field = jax.lax.dynamic_slice(example["field"], corner, (side, side))
    else:
        field = within_border((side, side), 0, (size[0], size[1]))
    raw, detector, descriptor = _light(
        keys["light"],
        raw,
        seen_through(flat(h_detector)),
        seen_through(descriptor_warp),
        light,
        clip_light,
    )
    labels = example["keypoints"] - shift[None]
    inside = jnp.all((labels >= -0.5) & (labels < side - 0.5), axis=-1)
    return Views(
        origin=origin,
        size=size,
        raw=raw,
        field=field,
        detector=detector,
        descriptor=descriptor,
        h_detector=h_detector,
        descriptor_warp=descriptor_warp,
        labels=labels,
        labels_mask=example["keypoint_mask"] & inside,
    )


def box_mean(image: Array) -> Array:
    """Return the 5x5 box mean of `[H, W]`; its edge pixels go on outside."""
    padded = jnp.pad(image, 2, mode="edge")
    window = jax.lax.reduce_window(padded, 0.0, jax.lax.add, (5, 5), (1, 1), "VALID")
    return window / 25.0


def _light(
    key: Array, raw: Array, detector: Array, descriptor: Array, kind: str, clip: bool
) -> tuple[Array, Array, Array]:
    """Change the light of the three views as `make_views` says."""
    if kind == "none":
        return raw, detector, descriptor
    k_raw, k_detector, k_descriptor = jax.random.split(key, 3)
    if kind == "paper":
        raw, detector, descriptor = (
            augment.loader_light(k_raw, view, clip=clip)
            for view in (raw, detector, descriptor)
        )
        return raw, detector, augment.jitter_light(k_descriptor, descriptor)

    def another_visit(key: Array, view: Array) -> Array:
        if kind == "modality":
            view = augment.modality_light(jax.random.fold_in(key, 1), view)
        return augment.visit_light(key, view)

    return (
        another_visit(k_raw, raw),
        another_visit(k_detector, detector),
        another_visit(k_descriptor, descriptor),
    )
