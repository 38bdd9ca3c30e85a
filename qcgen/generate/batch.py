"""Items to pixels: one call of the student per batch, few batch shapes, a finite check before the cast."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from qcgen.core.clock import Clock
from qcgen.core.errors import PrerequisiteError
from qcgen.core.types import Item
from qcgen.generate.noise import stack_noise
from qcgen.generate.spread import Spread
from qcgen.models.protocol import Student

Call = Callable[[Callable[..., Tensor], Sequence[Tensor]], Tensor]
"""A network and its inputs to its output."""
LADDER = (64, 32, 16, 8, 4, 2, 1)
PROMPTS_PER_CALL = 64
_AUTO_LARGEST = 64
_AUTO_CPU_PIXELS = 64 * 128**2

Lowered = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Made:
    """What one batch gave. `images[i]` is meaningless (zero) where `finite[i]` is False.

    Attributes:
        items: the items, in the order asked for.
        images: the pixels to be measured and written, on the student's device.
        finite: False where the decoder's float output held NaN or infinity.
        elapsed_s: seconds of the batch divided by its items.
    """

    items: tuple[Item, ...]
    images: UInt8[Tensor, "b 3 h w"]
    finite: tuple[bool, ...]
    elapsed_s: float


def auto_batch(size_px: int, device: str) -> int:
    """Pictures per call where a job says `auto`: 64, on the CPU as many as make a megapixel."""
    on_cpu = max(1, min(_AUTO_LARGEST, _AUTO_CPU_PIXELS // size_px**2))
    return on_cpu if torch.device(device).type == "cpu" else _AUTO_LARGEST


class Generator:
    """Runs one student. Batches have the shape of a rung of the ladder, in exact mode of `batch_size` alone.

    Args:
        student: the network.
        batch_size: pictures per call, or "auto" (64; on the CPU as many as make a megapixel).
        exact: pad every batch to `batch_size` and let full memory fail the job, so that the same machine gives the
            same bytes.
        spread: give a CPU's cores rows of their own; not for a compiled student, which knows one shape and uses all
            cores by itself.
        lowered: told, once for each, of a stage, the batch that did not fit there, and the one that is tried from then
            on.
    """

    def __init__(
        self,
        student: Student,
        *,
        batch_size: int | str = "auto",
        exact: bool = False,
        spread: bool = True,
        clock: Clock | None = None,
        lowered: Lowered | None = None,
    ) -> None:
        self.student = student
        self.exact = exact
        self.clock = clock or Clock()
        self._lowered = lowered
        self._wanted = batch_size
        self._caps: dict[str, int] = {}
        self._conditions: dict[str, Tensor] = {}
        self._call = Spread() if spread else _whole

    def prepare(self, prompts: Iterable[str]) -> None:
        """Embed a shard's prompts, each distinct one once; kept until another set is prepared.

        A prompt's bits may depend on which others share its call, so the calls are a function of the shard alone: a
        cache that outlived it would give other bits to a run that was stopped and resumed.
        """
        wanted = tuple(dict.fromkeys(prompts))
        if wanted == tuple(self._conditions):
            return
        with self.clock.stage("embed"), torch.inference_mode():
            chunks = [wanted[start : start + PROMPTS_PER_CALL] for start in range(0, len(wanted), PROMPTS_PER_CALL)]
            self._conditions = {
                prompt: cond for chunk in chunks for prompt, cond in zip(chunk, self.student.embed(chunk), strict=True)
            }

    def make(self, items: Sequence[Item]) -> Iterator[Made]:
        """Batches in item order; a batch is made when it is asked for."""
        if not {item.prompt for item in items} <= self._conditions.keys():
            self.prepare(item.prompt for item in items)
        done = 0
        while done < len(items):
            with torch.inference_mode():
                made = self._make_batch(items[done : done + self._batch_size()])
            done += len(made.items)
            yield made

    def _batch_size(self) -> int:
        if not isinstance(self._wanted, int):
            device = next(iter(self._conditions.values())).device.type
            self._wanted = auto_batch(self.student.size_px, device)
        return self._wanted

    def _make_batch(self, items: Sequence[Item]) -> Made:
        started = time.perf_counter()
        with self.clock.stage("embed"):
            cond = torch.stack([self._conditions[item.prompt] for item in items])
            noise = stack_noise([item.seed for item in items], self.student.latent_shape)
            noise = noise.to(device=cond.device, dtype=cond.dtype)
        with self.clock.stage("generate"):
            latents = self._laddered("generate", self.student.generate, noise, cond)
            _wait_for(latents)
        with self.clock.stage("decode"):
            pixels = self._laddered("decode", self.student.decode, latents)
            images, finite = quantise(pixels)
        return Made(tuple(items), images, finite, (time.perf_counter() - started) / len(items))

    def _laddered(self, stage: str, network: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """`network` over the whole batch, in smaller calls where memory is short; each stage remembers its own cap."""
        count = len(inputs[0])
        outputs: list[Tensor] = []
        done = 0
        while done < count:
            size = min(count - done, self._caps.get(stage, count))
            part = [_pad(value[done : done + size], self._shape(stage, size)) for value in inputs]
            output = _try_call(self._call, network, part)
            if output is None:
                self._lower(stage, len(part[0]))
                continue
            outputs.append(output[:size])
            done += size
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _shape(self, stage: str, size: int) -> int:
        """The batch shape to pad to: as few as possible, and in exact mode one."""
        whole = self._wanted if isinstance(self._wanted, int) else size
        if self.exact or size >= whole:
            return max(whole, size)
        fitting = [rung for rung in LADDER if size <= rung <= min(whole, self._caps.get(stage, whole))]
        return fitting[-1] if fitting else min(whole, self._caps.get(stage, whole))

    def _lower(self, stage: str, failed: int) -> None:
        cap = self._caps[stage] = self._next_rung(stage, failed)
        if self._lowered is not None:
            self._lowered(stage, failed, cap)

    def _next_rung(self, stage: str, failed: int) -> int:
        if self.exact:
            cure = "a smaller engine.batch_size (which changes the pixels), or engine.exact: false"
            raise PrerequisiteError(
                f"engine.exact: a batch of {failed} does not fit in memory at {stage}. Cure: {cure}."
            )
        if failed == 1:
            cure = "a smaller model, engine.dtype: bfloat16, or free the device's memory"
            raise PrerequisiteError(f"memory: one picture does not fit at {stage}. Cure: {cure}.")
        return next(rung for rung in LADDER if rung < failed)


def quantise(pixels: Float[Tensor, "b 3 h w"]) -> tuple[UInt8[Tensor, "b 3 h w"], tuple[bool, ...]]:
    """uint8 codes of pixels in [0, 1], and which pictures were finite: the cast alone would turn NaN into black."""
    # A sum of 64-bit floats cannot overflow here, so it is finite exactly where all its terms are.
    finite = torch.isfinite(pixels.flatten(1).sum(1, dtype=torch.float64))
    codes = pixels.float().clamp(0, 1).mul_(255).round_()
    if not finite.all():
        codes = torch.where(finite[:, None, None, None], codes, 0)
    return codes.to(torch.uint8), tuple(bool(value) for value in finite.cpu())


def _pad(values: Tensor, shape: int) -> Tensor:
    """Repeats the last row up to `shape` rows."""
    missing = shape - len(values)
    return values if missing <= 0 else torch.cat([values, values[-1:].expand(missing, *values.shape[1:])])


def _whole(network: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Tensor:
    return network(*inputs)


def _try_call(call: Call, network: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Tensor | None:
    """The network's answer, or None when memory was full; the exception, which holds tensors alive, is dropped."""
    try:
        return call(network, inputs)
    except torch.OutOfMemoryError:
        pass
    except RuntimeError as error:
        # The CPU allocator has no error class of its own.
        if "can't allocate memory" not in str(error):
            raise
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def _wait_for(values: Tensor) -> None:
    if values.is_cuda:
        torch.cuda.synchronize(values.device)
