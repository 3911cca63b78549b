"""Loss and score: cross-entropy, and three terms that follow a teacher."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rkd_jax import losses
from rkd_jax.classification import gradcam
from rkd_jax.classification.prepare import normalize
from rkd_jax.data.source import Source
from rkd_jax.losses import unit
from rkd_jax.metrics import classification
from rkd_jax.metrics.calibration import probabilities_of
from rkd_jax.models.output import ClassOutput
from rkd_jax.tasks.average import Average
from rkd_jax.tasks.base import Aux, Task
from rkd_jax.tasks.classification import views
from rkd_jax.tasks.classification.banks import Banks, Members
from rkd_jax.tasks.classification.config import ClassificationConfig
from rkd_jax.tasks.merging import merge
from rkd_jax.tasks.reductions import global_mean

Array = jax.Array
PyTree = Any
_BATCH = 64  # images of an evaluation at a time
_NETWORK, _STUDENT, _TEACHER = "network", "student_embed", "teacher_embed"
_FIXED = "fixed"  # variables that are not trained


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the task knows of its data.

    Attributes:
        members: the training images of each class.
        class_weights: float32 `[C]`, of the cross-entropy.
        epoch_steps: steps of an epoch.
        ordered: whether the classes are grades.
        size: side of an image, px.
        mean: of the channels, in 0..1.
        std: of the channels.
    """

    members: Members
    class_weights: np.ndarray
    epoch_steps: float
    ordered: bool
    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class ClassificationTask(Task):
    """CRCKD: a student follows its moving average, or a frozen network.

    Attributes:
        model: a network for classes, BatchNorm over `axis_name`.
        options: weights and temperatures of the terms.
        facts: of the data.
        teacher_model: the frozen teacher's; None: the teacher is the moving average.
        axis_name: mapped axis over which `loss` averages; None for one device.
        average: see `Task`.

    Source: Xing et al., MICCAI 2021; the frozen teacher is reverse knowledge
    distillation (Nasser et al., WACV 2024) of classes, ours.
    """

    model: nn.Module
    options: ClassificationConfig
    facts: Facts = dataclasses.field(hash=False, compare=False)
    teacher_model: nn.Module | None = None
    axis_name: str | None = None
    average: Average | None = None

    def init(self, key: Array, batch: dict[str, Array]) -> tuple[PyTree, PyTree]:
        """Return fresh variables, and the banks if a term needs them."""
        k_model, k_student, k_teacher, k_banks = jax.random.split(key, 4)
        images = jnp.zeros((1, self.facts.size, self.facts.size, 3))
        made = dict(jax.jit(self.model.init)(k_model, images))
        params = {_NETWORK: made.pop("params")}
        if not self.options.has_banks:
            return {"params": params, **made}, {}
        teacher = self.teacher_model or self.model
        for name, module, part in (
            (_STUDENT, self.model, k_student),
            (_TEACHER, teacher, k_teacher),
        ):
            width = jax.eval_shape(
                lambda images, module=module: (
                    module.init_with_output(jax.random.key(0), images)[0].features
                ),
                images,
            ).shape[1]
            params[name] = self._embed.init(part, jnp.zeros((1, width)))["params"]
        if not self.options.contrast_weight:
            # No term moves the teacher's then: weight decay alone would.
            made[_FIXED] = {_TEACHER: params.pop(_TEACHER)}
        banks = Banks.fresh(
            k_banks, len(self.facts.members.labels), self.options.embed_dim
        )
        return {"params": params, **made}, {"banks": banks}

    @property
    def _embed(self) -> nn.Dense:
        return nn.Dense(self.options.embed_dim)

    def load(self, variables: PyTree, weights: PyTree) -> PyTree:
        """Return fresh variables with the network of a weights file.

        Layers of the head that are of another size stay fresh: those of a network that
        was trained for other classes.
        """
        fresh, given = variables["params"][_NETWORK], dict(weights["params"])
        for layer in set(gradcam.LAYERS) & set(given):
            if not _fits(given[layer], fresh.get(layer)):
                del given[layer]
        return merge(variables, {**weights, "params": {_NETWORK: given}})

    def network(self, variables: PyTree) -> PyTree:
        """Return the network without the embeddings that are compared."""
        parts = {name: part for name, part in variables.items() if name != _FIXED}
        return {**parts, "params": variables["params"][_NETWORK]}

    def loss(
        self,
        variables: PyTree,
        task_state: PyTree,
        teacher: PyTree,
        batch: dict[str, Array],
        key: Array,
        step: Array,
    ) -> tuple[Array, Aux]:
        """Return the weighted sum of the terms; see `Task.loss`."""
        options, labels = self.options, batch["label"]
        key, k_dropout, k_anchors = jax.random.split(key, 3)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, batch["example"])
        k_student, k_teacher, k_rows = (
            jax.vmap(jax.random.fold_in, (0, None))(keys, part) for part in range(3)
        )
        images = jax.vmap(views.student_view)(k_student, batch["image"])
        output, collections = self.model.apply(
            self.network(variables),
            self._normalized(images),
            train=True,
            example_ids=batch["example"],
            mutable=["batch_stats"],
            rngs={"dropout": k_dropout},
        )
        mean = functools.partial(global_mean, axis_name=self.axis_name)
        ones = jnp.ones(labels.shape, jnp.float32)
        errors = losses.class_cross_entropy(output.logits, labels)
        weights = jnp.asarray(self.facts.class_weights)[labels]
        terms = {"cross_entropy": mean(errors, weights)}
        value = terms["cross_entropy"]
        right = (jnp.argmax(output.logits, axis=-1) == labels).astype(jnp.float32)
        if options.follows:
            epoch = jnp.floor(step.astype(jnp.float32) / self.facts.epoch_steps)
            begun = (epoch >= options.start_epoch).astype(jnp.float32)
            views_seen = jax.vmap(views.teacher_view)(k_teacher, batch["image"])
            wanted = self._taught(teacher, self._normalized(views_seen), batch)
            wanted = jax.lax.stop_gradient(wanted)
        if options.prediction_weight:
            follow = losses.prediction_distillation(
                output.logits,
                wanted.logits,
                temperature=options.prediction_temperature,
            )
            terms["prediction"] = mean(follow, ones)
            rise = begun * losses.ramp(epoch, options.ramp_epochs)
            value += options.prediction_weight * rise * terms["prediction"]
        if options.has_banks:
            features = output.features, wanted.features
            compared, task_state = self._compare(
                variables, task_state["banks"], features, batch, (k_anchors, k_rows)
            )
            terms |= {name: mean(one, ones) for name, one in compared.items()}
        if options.contrast_weight:
            weight = jnp.asarray(options.contrast_weight)
            if options.double_weight:
                weight *= jnp.where(begun > 0, options.contrast_weight, 1.0)
            value += weight * terms["contrast"]
        if options.relation_weight:
            value += options.relation_weight * begun * terms["relation"]
        metrics = {"loss": value, **terms, "accuracy": mean(right, ones)}
        return value, Aux(metrics, task_state, collections)

    def _normalized(self, images: Array) -> Array:
        return normalize(images, self.facts.mean, self.facts.std)

    def _taught(
        self, teacher: PyTree, images: Array, batch: dict[str, Array]
    ) -> ClassOutput:
        """Return what the teacher says of its views."""
        if self.teacher_model is not None:
            return self.teacher_model.apply(teacher, images)
        network = self.network(teacher)
        if self.options.teacher_statistics == "average":
            return self.model.apply(network, images)
        return self.model.apply(
            network,
            images,
            train=True,
            example_ids=batch["example"],
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.key(0)},
        )[0]

    def _compare(
        self,
        variables: PyTree,
        banks: Banks,
        features: tuple[Array, Array],
        batch: dict[str, Array],
        keys: tuple[Array, Array],
    ) -> tuple[dict[str, Array], PyTree]:
        """Return contrast and relation of each example, and the moved banks.

        Args:
            variables: those of the loss.
            banks: before the step.
            features: of the student and of the teacher, `[b, d]` and `[b, e]`.
            batch: that of the loss.
            keys: of the step, and of each example.
        """
        options, members = self.options, self.facts.members
        params = {**variables["params"], **variables.get(_FIXED, {})}
        u, v = (
            unit(self._embed.apply({"params": params[name]}, part))
            for name, part in zip((_STUDENT, _TEACHER), features, strict=True)
        )
        found = {}
        if options.contrast_weight:
            draw = functools.partial(
                members.draw,
                positives=options.positives,
                negatives=options.negatives,
                any_class=options.negatives_from == "all",
            )
            rows, counts = jax.vmap(draw)(keys[1], batch["index"])
            sides = (
                (u, banks.teacher, banks.z_student),
                (v, banks.student, banks.z_teacher),
            )
            values, constants = zip(
                *(self._contrast(*side, rows, counts) for side in sides), strict=True
            )
            found["contrast"] = values[0] + values[1]
            banks = banks.replace(z_student=constants[0], z_teacher=constants[1])
        index, new_u, new_v = self._of_all((batch["index"], u, v))
        banks = banks.replace(
            student=losses.update_bank(
                banks.student, index, new_u, options.bank_momentum
            ),
            teacher=losses.update_bank(
                banks.teacher, index, new_v, options.bank_momentum
            ),
        )
        if options.relation_weight:
            anchors, where = self._anchors(banks, keys[0])
            found["relation"] = losses.relation_distillation(
                u,
                jax.lax.stop_gradient(v),
                *anchors,
                temperature=options.relation_temperature,
                where=where,
            )
        return found, {"banks": banks}

    def _anchors(
        self, banks: Banks, key: Array
    ) -> tuple[tuple[Array, ...], Array | None]:
        """Return what relations are to in both banks, and which of them count."""
        options, members = self.options, self.facts.members
        both = banks.student, banks.teacher
        if options.anchor_rows:
            # The same on all devices: of the key that they share.
            rows, counts = members.draw_of_each(key, options.anchor_rows)
            return tuple(bank[rows] for bank in both), counts
        means = functools.partial(
            losses.class_anchors,
            labels=jnp.asarray(members.labels),
            classes=len(members.counts),
            relu=options.relu_anchors,
        )
        return tuple(means(bank) for bank in both), None

    def _contrast(
        self, embeddings: Array, bank: Array, z: Array, rows: Array, counts: Array
    ) -> tuple[Array, Array]:
        """Return one side of the contrast, `[b]`, and its constant Z."""
        how = {
            "bank_size": len(bank),
            "temperature": self.options.contrast_temperature,
            "where": counts,
        }
        drawn = bank[rows]
        first = losses.contrast_normalizer(embeddings, drawn, total=self._total, **how)
        # Set by the first batch of a run, then kept.
        z = jnp.where(z > 0, z, first)
        return (
            losses.class_contrast(
                embeddings, drawn, self.options.positives, normalizer=z, **how
            ),
            z,
        )

    def _total(self, value: Array) -> Array:
        return value if self.axis_name is None else jax.lax.psum(value, self.axis_name)

    def _of_all(self, arrays: PyTree) -> PyTree:
        """Return arrays `[b, ...]` of all devices, one after the other."""
        if self.axis_name is None:
            return arrays
        return jax.lax.all_gather(arrays, self.axis_name, tiled=True)

    def evaluate(
        self, variables: PyTree, data: Source
    ) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        """Return the scores of held-out images; `score` is balanced accuracy."""
        logits, _ = self.outputs(self.network(variables), data)
        labels = np.asarray(data.groups)
        found = classification.scores(
            labels, probabilities_of(logits), ordered=self.facts.ordered
        )
        known = {name: value for name, value in found.items() if value is not None}
        return {"score": known["balanced_accuracy"], **known}, {}

    @functools.cached_property
    def _apply(self) -> Callable[[PyTree, Array], tuple[Array, Array]]:
        @jax.jit
        def apply(network: PyTree, images: Array) -> tuple[Array, Array]:
            found = self.model.apply(network, self._normalized(images))
            return found.logits, found.features

        return apply

    def outputs(self, network: PyTree, data: Source) -> tuple[np.ndarray, np.ndarray]:
        """Return logits `[N, C]` and features `[N, d]` of images.

        Args:
            network: variables of the network alone.
            data: images, read one batch at a time.
        """
        parts = []
        for start in range(0, len(data), _BATCH):
            numbers = range(start, min(start + _BATCH, len(data)))
            images = np.stack([data[number]["image"] for number in numbers])
            lacking = [(0, _BATCH - len(images)), *[(0, 0)] * 3]
            found = self._apply(network, np.pad(images, lacking))
            parts.append([np.asarray(part)[: len(images)] for part in found])
        logits, features = zip(*parts, strict=True)
        return np.concatenate(logits), np.concatenate(features)


def _fits(given: PyTree, fresh: PyTree | None) -> bool:
    """Return whether a layer has the arrays of another, in their shapes."""
    return fresh is not None and jax.tree.map(jnp.shape, given) == jax.tree.map(
        jnp.shape, fresh
    )
