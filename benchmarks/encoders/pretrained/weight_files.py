"""Published weights: where their files lie, and loading them without a doubt left."""

import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from motionbeat.encoder import Encoder
from motionbeat.errors import MotionBeatError


def read_weights(path: Path | zipfile.Path) -> dict[str, Any]:
    """What a file of weights holds by name: safetensors, or a pickle that may run no code.

    Raises:
        MotionBeatError: it is damaged or holds more than tensors and plain values.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(str(path))
        # Tensors stay on disk until looked at, but for files in archives or of the older kind.
        file = path if isinstance(path, Path) else BytesIO(path.read_bytes())
        mmap = isinstance(path, Path) and zipfile.is_zipfile(path)
        contents = torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
        return dict(contents.items())
    except Exception as error:  # a damaged file may fail in any way
        raise MotionBeatError(
            f"{path}: damaged, or no file of weights; delete it and get it again"
        ) from error


def below(tensors: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The tensors whose names begin with a prefix, without it."""
    chosen = (name for name in tensors if name.startswith(prefix))
    return {name.removeprefix(prefix): tensors[name] for name in chosen}


def load_strictly(
    network: nn.Module, tensors: Mapping[str, Any], source: object, unused: tuple[str, ...] = ()
) -> None:
    """Copy tensors into a network, which may have been built without memory for its weights.

    It is frozen. Tensors whose names begin with something unused are passed over.

    Raises:
        MotionBeatError: one of the others is missing, unknown or of another shape.
    """
    own = network.state_dict()
    given = {
        name: tensor.to(own[name].dtype, copy=True) if name in own else tensor
        for name, tensor in tensors.items()
        if isinstance(tensor, Tensor) and not name.startswith(unused)
    }
    try:
        network.load_state_dict(given, assign=True)
    except RuntimeError as error:
        fault = str(error).splitlines()[1].strip()[:200]
        raise MotionBeatError(
            f"{source}: weights of another network ({fault}); get those that the card names"
        ) from error
    network.eval().requires_grad_(False)


class FileEncoder(Encoder):
    """An encoder whose weights are one file, which the user has put into a folder.

    Nothing is fetched: of most such files no checksum of their publisher's is known. Making one
    raises MotionBeatError when the file is not there, damaged or of another network.

    Attributes:
        file: its name in ``MOTIONBEAT_DATA/weights``.
        origin: where to get it.
        build: makes the network, whose tensors have the names of the file, of :attr:`sizes`.
        key: where the tensors lie in the file; at its top where there is no such key.
        unused: beginnings of the names of tensors that the network has no use for.
    """

    file: ClassVar[str]
    origin: ClassVar[str]
    sizes: ClassVar[tuple[int, ...]] = ()
    key: ClassVar[str] = ""
    unused: ClassVar[tuple[str, ...]] = ()
    build: ClassVar[Callable[..., nn.Module]]
    network: Any

    def __init__(self) -> None:
        super().__init__()
        if (fault := self.unavailable()) is not None:
            raise MotionBeatError(f"encoder {self.card.name}: {fault}")
        path = self.path()
        assert path is not None
        contents = read_weights(path)
        tensors = self.named(contents.get(self.key, contents))
        with torch.device("meta"):
            self.network = self.build(*self.sizes)
        load_strictly(self.network, tensors, path, self.unused)
        self.eval()

    def named(self, tensors: dict[str, Any]) -> dict[str, Any]:
        """The tensors of the file by the names of the network."""
        return tensors

    @classmethod
    def path(cls) -> Path | zipfile.Path | None:
        """Where the file lies, if it does."""
        data = os.environ.get("MOTIONBEAT_DATA")
        path = Path(data, "weights", cls.file) if data else None
        return path if path is not None and path.is_file() else None

    @classmethod
    def unavailable(cls) -> str | None:
        """Why this encoder cannot be made here; None when it can."""
        if (missing := super().unavailable()) is not None or cls.path() is not None:
            return missing
        return f"no weights; put {cls.file} from {cls.origin} into DIR/weights, give --data DIR"


class PackageEncoder(Encoder):
    """An encoder whose weights lie in its one installed package, which is never imported.

    Attributes:
        files: what is read of it.
        sha256: of these, one after the other.
    """

    files: ClassVar[tuple[str, ...]]
    sha256: ClassVar[str]

    @classmethod
    def folder(cls) -> Path:
        """The folder of the package.

        Raises:
            MotionBeatError: it is not installed, or its files are others.
        """
        [(package, install)] = cls.packages.items()
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise MotionBeatError(f"encoder {cls.card.name}: {cls.unavailable()}")
        folder = Path(spec.origin).parent
        paths = [folder / file for file in cls.files]
        contents = b"".join(path.read_bytes() for path in paths if path.is_file())
        if hashlib.sha256(contents).hexdigest() != cls.sha256:
            raise MotionBeatError(
                f"{paths[-1]}: damaged, or of another version; "
                f"run: pip install --force-reinstall {install}"
            )
        return folder
