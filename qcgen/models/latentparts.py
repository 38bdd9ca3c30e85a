"""What the families on an autoencoder's latents have in common."""

from dataclasses import dataclass, fields
from pathlib import Path

from torch import nn

from qcgen.models.codec import LatentCodec, load_vae, pixels_per_latent
from qcgen.models.commonparts import CommonParts
from qcgen.models.network import Network
from qcgen.models.studentfolder import write_student_folder


@dataclass(frozen=True, slots=True)
class LatentParts(CommonParts):
    """Properties and methods of `models.protocol.ModelParts`.

    Attributes:
        vae: the autoencoder's folder.
    """

    vae: Path

    @property
    def size_px(self) -> int:
        return self.latent_shape[1] * pixels_per_latent(self.vae)

    def load_codec(self, device: str) -> LatentCodec:
        return LatentCodec(load_vae(self.vae, device))

    def write_student(self, network: nn.Module, folder: Path, *, t_init: float) -> None:
        assert isinstance(network, Network)
        # Every part but the network is the teacher's own.
        names = {part.name for part in fields(self)} - {"root", self.network}
        copied = {name: getattr(self, name) for name in sorted(names)}
        write_student_folder({self.network: network.core}, copied, folder, t_init=t_init, size_px=self.size_px)
