"""`qcgen eval`: a model's pictures against real ones, with captions of real rows; equal seeds give equal captions."""

import platform
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from qcgen.core.errors import SpecError
from qcgen.core.types import ModelRef
from qcgen.data.imageset import ImageSet
from qcgen.models.protocol import ImageTextEncoder
from qcgen.pipeline.evaluate import Evaluation, Source, estimate, histogram
from qcgen.pipeline.realset import (
    Show,
    batched,
    caption_ids,
    data_digest,
    picture_batch,
    products,
    real_columns,
)
from qcgen.pipeline.sampling import Sampler
from qcgen.qc.describe import describe, describe_latents, nearest_distance
from qcgen.qc.protocol import Columns, SetMetric
from qcgen.qc.registry import make_metrics

Watch = Callable[[str], AbstractContextManager[Show]]
"""Opens a progress display with a label."""

SHEET_PROMPTS = 12


def unwatched(label: str) -> AbstractContextManager[Show]:
    """No progress display."""
    return nullcontext(lambda done, total: None)


def measure(
    sampler: Sampler,
    data: ImageSet,
    encoder: ImageTextEncoder,
    *,
    n: int,
    seed: int,
    batch: int = 128,
    cache: Path | None = None,
    watch: Watch = unwatched,
) -> Evaluation:
    """Every set metric on `n` pictures with the captions of real rows drawn at random.

    Pictures are made, reduced to columns and dropped, batch by batch. The real set's columns come from `cache` where
    they are there already.

    Raises:
        SpecError: too few pictures, real ones or held-out ones; every measure that cannot be made is listed.
        IntegrityError: the model makes non-finite pictures.
    """
    metrics = make_metrics()
    # Texts and pictures are embedded in one space; a text tells its width before any picture is embedded.
    check_counts(metrics, n, data, features=encoder.encode_texts([""]).shape[1])
    sha256 = data_digest(data)
    with watch("real pictures") as show:
        real = real_columns(data, sha256, encoder, sampler.autoencoder, cache=cache, show=show)
    began = time.monotonic()
    with watch(f"{sampler.kind} {sampler.ref.name}, {sampler.network_calls} calls a picture") as show:
        made = _made_columns(sampler, data, encoder, n=n, seed=seed, batch=batch, show=show)
    seconds = time.monotonic() - began
    trained = torch.from_numpy(data.rows(held_out=False))
    made["nearest"] = nearest_distance(made["embeddings"], real["embeddings"][trained])
    with watch("numbers and errors") as show:
        estimates, repeated = estimate(metrics, real, data.held_out, made, seed=seed, show=show)
    return Evaluation(
        model=Source(sampler.ref.name, sampler.ref.digest),
        kind=sampler.kind,
        network_calls=sampler.network_calls,
        solver_steps=sampler.solver_steps,
        guidance_scale=sampler.guidance_scale,
        encoder=Source("", encoder.digest),
        data=Source("", sha256),
        real=len(data),
        held_out=int(data.held_out.sum()),
        n=n,
        seed=seed,
        machine=f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}",
        pictures_per_second=round(n / seconds, 2),
        measures=estimates,
        nearest=histogram(made["nearest"], real["nearest"][data.held_out]),
        prompts=tuple(sheet_prompts(data)),
        repeated=repeated,
    )


def check_counts(metrics: Mapping[str, SetMetric], n: int, data: ImageSet, *, features: int) -> None:
    """Raises SpecError that lists every metric with too few pictures of any kind."""
    held_out = int(data.held_out.sum())
    problems: list[str] = []
    for name, metric in metrics.items():
        least = metric.least(features)
        real = len(data) if metric.real_rows == "all" else held_out
        kind = "real" if metric.real_rows == "all" else "held-out"
        if n < least:
            problems.append(
                f"--count: {name} needs at least {least} pictures with {features} features (got {n}). "
                f"Cure: --count {max(least, 2000)}."
            )
        if real < least:
            problems.append(
                f"--data: {name} needs at least {least} {kind} pictures with {features} features (got {real}). "
                "Cure: a larger image set, or an encoder with fewer features."
            )
    if problems:
        raise SpecError(problems)


def check_encoder(ref: ModelRef, encoder_digest: str) -> None:
    """Raises SpecError if the model's card was measured with another encoder: the numbers would not compare."""
    recorded = ref.card.measures.get("encoder")
    digest = recorded.get("digest") if isinstance(recorded, Mapping) else None
    if digest is not None and digest != encoder_digest:
        raise SpecError(
            f"--clip: the card of {ref.name} was measured with the encoder {digest[:16]} (got {encoder_digest[:16]}), "
            "so the numbers do not compare. Cure: give that encoder, or --other-encoder to measure anew."
        )


def sheet_prompts(data: ImageSet) -> list[str]:
    """The commonest caption of each of the commonest products, in a colour that none before has, where there is one.

    A rule, so that nobody picks.
    """
    prompts: list[str] = []
    taken: set[str] = set()
    for product, _ in Counter(data.products).most_common(SHEET_PROMPTS):
        rows = [row for row, name in enumerate(data.products) if name == product]
        captions = Counter((data.captions[row], data.colours[row]) for row in rows).most_common()
        text, colour = next((one for one, _ in captions if one[1] not in taken), captions[0][0])
        prompts.append(text)
        taken.add(colour)
    return prompts


def contact_sheet(sampler: Sampler, prompts: list[str], seeds: list[int], path: Path, *, columns: int) -> None:
    """Write the pictures of `prompts` and `seeds`, unpicked, row by row."""
    images = sampler(prompts, seeds)
    n, _, h, w = images.shape
    grid = images.reshape(n // columns, columns, 3, h, w).permute(0, 3, 1, 4, 2).reshape(-1, columns * w, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(grid.numpy()).save(path, quality=88)


def _made_columns(
    sampler: Sampler, data: ImageSet, encoder: ImageTextEncoder, *, n: int, seed: int, batch: int, show: Show
) -> dict[str, Tensor]:
    rng = np.random.default_rng(seed)
    asked = torch.from_numpy(rng.integers(len(data), size=n))
    seeds = [int(value) for value in rng.integers(2**32, size=n)]
    classes = products(data)

    def make(places: Tensor) -> Columns:
        rows = asked[places]
        latents = sampler.draw([data.captions[row] for row in rows.tolist()], [seeds[i] for i in places.tolist()])
        columns = describe(picture_batch(data, rows, sampler.pictures(latents), encoder), classes)
        return {**columns, "latents": describe_latents(latents)}

    return {**batched(make, n, show, size=batch), "caption_ids": caption_ids(data)[asked]}
