"""Picture files that nobody vouches for: read, decoded in a confined process, or refused with a reason."""

import hashlib
import json
import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import cast

import torch
from jaxtyping import UInt8
from torch import Tensor

from qcgen.data.decodepipe import Answer, DecodePipe

_AHEAD = 16
"""Pictures asked for before the first answer is taken: a process that waits for each costs a switch for each."""
_HELD = 64_000_000
"""Bytes of pictures that wait to be taken, beyond which none more is asked for."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may cost.

    Attributes:
        pixels, frames, bytes: of one picture.
        seconds: after which decoding is ended.
        address_space: of the decoding process, bytes.
    """

    pixels: int = 50_000_000
    frames: int = 1_000
    bytes: int = 200_000_000
    seconds: float = 20.0
    address_space: int = 1_500_000_000


@dataclass(frozen=True, slots=True)
class Decoded:
    """RGB codes of a file, and by code what was done to get them (`composited`, `first_frame`, ...)."""

    image: UInt8[Tensor, "3 h w"]
    sha256: str
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a file has no picture: a code (`damaged`, `too_many_pixels`, ...) and words. `sha256` of what was read."""

    code: str
    reason: str
    sha256: str = ""


class Decoder:
    """Reads files; a context manager.

    One process decodes them all and is replaced when it dies or takes too long, so that no file ends the work.

    Args:
        background: RGB codes that shine through where a picture is transparent.
        least_side: larger pictures are shrunk by a power of two to no less than this short side, px; 0: none is.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        background: tuple[int, int, int] = (255, 255, 255),
        *,
        least_side: int = 0,
    ) -> None:
        self.limits = limits or Limits()
        self._wanted = json.dumps(
            {
                "most_pixels": self.limits.pixels,
                "most_frames": self.limits.frames,
                "background": list(background),
                "least_side": least_side,
            }
        ).encode()
        self._pipe: DecodePipe | None = None

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> str:
        """End the process; how it ended if it did so itself. A later `read` starts another."""
        pipe, self._pipe = self._pipe, None
        return "" if pipe is None else pipe.end()

    def read(self, paths: Iterable[Path]) -> Iterator[Decoded | Refused]:
        """The picture of each file in order, or why there is none; raises nothing for anything that a file can be."""
        return self.decode(self._content(path) for path in paths)

    def decode(self, contents: Iterable[bytes | Refused]) -> Iterator[Decoded | Refused]:
        """The same for bytes; what is refused already passes through."""
        waiting: deque[_Asked | Refused] = deque()
        for content in contents:
            waiting.append(self._look(content))
            self._ask(waiting)
            while waiting and (len(waiting) >= _AHEAD or self._held(waiting) > _HELD):
                yield self._next(waiting)
        while waiting:
            yield self._next(waiting)

    def _content(self, path: Path) -> bytes | Refused:
        try:
            # Without O_NONBLOCK a named pipe would be waited for.
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                about = os.fstat(handle)
                if not stat.S_ISREG(about.st_mode):
                    return Refused("no_file", "it is no regular file")
                if about.st_size > self.limits.bytes:
                    return Refused("too_many_bytes", _too_many(about.st_size, self.limits.bytes))
                return file.read(self.limits.bytes + 1)
        except (OSError, ValueError) as error:
            return Refused("unreadable", f"it cannot be read ({getattr(error, 'strerror', None) or error})")

    def _held(self, waiting: "Iterable[_Asked | Refused]") -> int:
        asked = sum(len(one.content) for one in waiting if isinstance(one, _Asked))
        return asked + (0 if self._pipe is None else self._pipe.held)

    def _look(self, content: bytes | Refused) -> "_Asked | Refused":
        if isinstance(content, Refused):
            return content
        sha256 = hashlib.sha256(content).hexdigest()
        if not content:
            return Refused("empty", "it is empty", sha256)
        if len(content) > self.limits.bytes:
            return Refused("too_many_bytes", _too_many(len(content), self.limits.bytes), sha256)
        return _Asked(content, sha256)

    def _ask(self, waiting: "Iterable[_Asked | Refused]") -> None:
        """Send what was not sent to the process that runs."""
        for one in waiting:
            if isinstance(one, _Asked) and (self._pipe is None or one.pipe is not self._pipe):
                limits = self.limits
                self._pipe = self._pipe or DecodePipe(seconds=limits.seconds, address_space=limits.address_space)
                one.pipe = self._pipe
                self._pipe.send(self._wanted, one.content)

    def _next(self, waiting: "deque[_Asked | Refused]") -> Decoded | Refused:
        """The first one's answer. If the process ended over it, the others are asked of a new one."""
        self._ask(waiting)
        first = waiting.popleft()
        if isinstance(first, Refused):
            return first
        assert self._pipe is not None
        try:
            return _understood(self._pipe.receive(), first.sha256)
        except TimeoutError:
            self.close()
            return Refused("too_slow", f"decoding took more than {self.limits.seconds:g} s and was ended", first.sha256)
        except (OSError, EOFError):
            return Refused("decoder_died", f"decoding it ended the process ({self.close()})", first.sha256)


@dataclass(slots=True)
class _Asked:
    """A file's bytes, and the process that has them."""

    content: bytes
    sha256: str
    pipe: DecodePipe | None = None


def _understood(answer: Answer, sha256: str) -> Decoded | Refused:
    about, codes = answer
    if "refused" in about:
        return Refused(str(about["refused"]), str(about["reason"]), sha256)
    width, height = int(cast(int, about["width"])), int(cast(int, about["height"]))
    image = torch.frombuffer(codes, dtype=torch.uint8).view(3, height, width)
    return Decoded(image, sha256, cast(Mapping[str, str], about["notes"]))


def _too_many(size: int, most: int) -> str:
    return f"it has {size / 1e6:.0f} million bytes, the limit is {most / 1e6:g} million"
