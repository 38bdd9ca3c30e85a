"""Encoding and writing beside the network, in a bounded pool of threads: encoders and fsync release the GIL."""

import hashlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore

from qcgen.core.clock import Clock
from qcgen.core.types import Image, Item
from qcgen.generate.encode import Pixels, encode, make_thumbnail
from qcgen.generate.write import place, write_file

_IN_FLIGHT_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Written:
    """A file on disk (durable after `sync_folders`) and its small picture."""

    image: Image
    thumbnail: bytes


class FilePool:
    """Encodes and writes pictures; `submit` waits while 64 MiB of pixels are on their way.

    Args:
        root: the output folder.
        image_format: png, jpeg or webp.
        packet: the XMP packet of an item, or None for none.
    """

    def __init__(
        self,
        root: Path,
        image_format: str,
        *,
        packet: Callable[[Item], bytes | None],
        size_px: int,
        clock: Clock,
    ) -> None:
        self._root = root
        self._format = image_format
        self._packet = packet
        self._clock = clock
        self._room = BoundedSemaphore(max(8, _IN_FLIGHT_BYTES // (3 * size_px**2)))
        self._threads = ThreadPoolExecutor(
            min(8, os.cpu_count() or 1), thread_name_prefix="encode", initializer=_step_back
        )

    def submit(self, item: Item, pixels: Pixels) -> Future[Written]:
        with self._clock.stage("wait"):
            self._room.acquire()
        try:
            future = self._threads.submit(self._write, item, pixels)
        except BaseException:
            self._room.release()
            raise
        future.add_done_callback(lambda _: self._room.release())
        return future

    def close(self) -> None:
        """Wait for what was submitted."""
        self._threads.shutdown(wait=True)

    def _write(self, item: Item, pixels: Pixels) -> Written:
        with self._clock.stage("encode"):
            data = encode(pixels, self._format, xmp=self._packet(item))
            thumbnail = make_thumbnail(pixels)
            sha256, pixels_sha256 = hashlib.sha256(data).hexdigest(), hashlib.sha256(pixels.data).hexdigest()
        relpath = place(item, self._format)
        with self._clock.stage("write"):
            write_file(self._root / relpath, data)
        height, width = pixels.shape[:2]
        return Written(Image(relpath, sha256, len(data), width, height, pixels_sha256), thumbnail)


def _step_back() -> None:
    """Lower this thread's priority: a network's threads wait for their slowest, so an encoder that takes a core from
    one of them stops them all."""
    if sys.platform == "linux":
        # A process that is already nicer may not come back up.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
