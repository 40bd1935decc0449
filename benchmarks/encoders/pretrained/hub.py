"""Encoders whose weights lie on the Hugging Face hub: how a pinned state of them is fetched.

Files come from the hub's own cache (``HF_HOME``, ``HF_HUB_OFFLINE`` and ``HF_TOKEN`` work as ever),
or from ``MOTIONBEAT_HUB``: a folder with copies of repositories as ``OWNER/NAME/FILE``, for
machines without a network. Whoever fills it answers for its being the state an encoder names.
"""

import errno
import os
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors.torch import load_file

from motionbeat.encoder import Encoder
from motionbeat.errors import MotionBeatError

HUB_PACKAGE = "huggingface_hub>=0.34,<1"
TRANSFORMERS = {"transformers": "'transformers>=4.57,<5'"}


class HubError(MotionBeatError):
    """Weights that could not be had or read, with the remedy."""


def copies() -> Path | None:
    """The folder with copies of repositories that stands in for the hub, if any."""
    folder = os.environ.get("MOTIONBEAT_HUB")
    return Path(folder) if folder else None


def snapshot(repo: str, revision: str, files: Sequence[str]) -> Path:
    """A folder with files of a repository on the hub, fetched unless they are here.

    Args:
        repo: owner and name.
        revision: full hash of a commit.
        files: their names in the repository.

    Raises:
        HubError: they cannot be had.
    """
    if (folder := copies()) is not None:
        if (fault := _lacking(folder / repo, files)) is not None:
            raise HubError(fault)
        return folder / repo
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError as error:
        raise HubError(
            f"{repo}: huggingface_hub is not installed; run: pip install '{HUB_PACKAGE}'"
        ) from error
    with suppress(errors.LocalEntryNotFoundError):  # a commit never changes: no need to ask
        folder = Path(
            huggingface_hub.snapshot_download(repo, revision=revision, local_files_only=True)
        )
        if not _missing(folder, files):
            return folder
    page = f"https://huggingface.co/{repo}"
    try:
        folder = Path(
            huggingface_hub.snapshot_download(repo, revision=revision, allow_patterns=list(files))
        )
    except errors.GatedRepoError as error:
        raise HubError(
            f"{repo}: its owner asks for consent; give it at {page} and run: hf auth login"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise HubError(
            f"{repo}: the hub no longer has commit {revision}; put a copy of it into "
            f"MOTIONBEAT_HUB/{repo}/"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HubError(
            f"{repo}: not on the hub, or not for you; look at {page}, and if it is private run: "
            "hf auth login"
        ) from error
    except OSError as error:  # all that network, hub and disk throw, LocalEntryNotFoundError too
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HubError(
                f"{repo}: the disk is full; free some space, or let HF_HOME name another folder"
            ) from error
        raise HubError(
            f"{repo}: not here, and the hub gave no answer ({type(error).__name__}); connect and "
            f"unset HF_HUB_OFFLINE, or put {', '.join(files)} of commit {revision[:8]} into "
            f"MOTIONBEAT_HUB/{repo}/"
        ) from error
    if missing := _missing(folder, files):  # an interrupted download that nothing could finish
        raise HubError(
            f"{repo}: {missing} of commit {revision[:8]} could not be had; connect and "
            "unset HF_HUB_OFFLINE"
        )
    return folder


def read_weights(
    path: Path | zipfile.Path,
    remedy: str = "delete it and try again",
    *,
    mapped: bool = False,
) -> dict[str, Any]:
    """Tensors of a safetensors file, or of a pickle of nothing but tensors and plain values.

    Args:
        path: of the file, which may lie in an archive.
        remedy: what to do when it cannot be read.
        mapped: leave the tensors of a pickle on disk until they are looked at, where the file is
            of the newer kind, an archive itself.

    Raises:
        HubError: the file is damaged or holds more than that.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(str(path))
        # Through memory, as a file in an archive cannot be read at random.
        file = path if isinstance(path, Path) else BytesIO(path.read_bytes())
        mapped = mapped and isinstance(path, Path) and zipfile.is_zipfile(path)
        tensors = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # a damaged file may fail in any way
        raise HubError(f"{path}: damaged, or no file of weights; {remedy}") from error
    if not isinstance(tensors, dict) or not all(isinstance(name, str) for name in tensors):
        raise HubError(f"{path}: holds no named tensors; {remedy}")
    return tensors


class HubEncoder(Encoder):
    """An encoder whose weights are files of one commit of a repository on the hub.

    Attributes:
        repo: owner and name.
        commit: full hash; the card's revision begins with what it begins with.
        files: what is read of it.
    """

    packages: ClassVar[Mapping[str, str]] = {"huggingface_hub": f"'{HUB_PACKAGE}'"}
    repo: ClassVar[str]
    commit: ClassVar[str]
    files: ClassVar[Sequence[str]]

    @classmethod
    def unavailable(cls) -> str | None:
        """Why this encoder cannot be made here; whether the hub answers is only seen by asking."""
        folder = copies()
        return super().unavailable() or (
            None if folder is None else _lacking(folder / cls.repo, cls.files)
        )

    @classmethod
    def here(cls) -> str:
        """What a list says of it, by the files that lie where the hub's library keeps them."""
        if cls.unavailable() or copies():
            return super().here()
        from huggingface_hub.constants import HF_HUB_CACHE

        kept = Path(HF_HUB_CACHE, f"models--{cls.repo.replace('/', '--')}", "snapshots", cls.commit)
        return "after a download, on first use" if _missing(kept, cls.files) else super().here()

    @classmethod
    def folder(cls) -> Path:
        """The folder with its files, fetched unless they are here."""
        return snapshot(cls.repo, cls.commit, cls.files)


def _missing(folder: Path, files: Sequence[str]) -> str:
    return ", ".join(file for file in files if not (folder / file).is_file())


def _lacking(folder: Path, files: Sequence[str]) -> str | None:
    missing = _missing(folder, files)
    return f"{folder}: has no {missing}; put it there or unset MOTIONBEAT_HUB" if missing else None


def pretrained(kind: Any, folder: Path) -> Any:
    """A network of ``transformers`` with the weights in a folder, all of them.

    Args:
        kind: class of the network.
        folder: with config.json and the weights; no code in it is run.

    Raises:
        HubError: the weights are damaged or those of another network.
    """
    from transformers.utils import logging

    told = logging.get_verbosity()
    logging.set_verbosity_error()  # heads that are left out, names of types: all as it should be
    try:
        network, found = kind.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, ignore_mismatched_sizes=True
        )
    except Exception as error:  # a damaged file may fail in any way
        raise HubError(f"{folder}: cannot be read; fetch its files again") from error
    finally:
        logging.set_verbosity(told)
    if found["missing_keys"] or found["mismatched_keys"]:
        # They would be random numbers.
        raise HubError(f"{folder}: lacks weights of {kind.__name__}; fetch its files again")
    return network.float().eval().requires_grad_(False)
