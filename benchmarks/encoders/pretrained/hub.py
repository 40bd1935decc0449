"""Encoders whose weights lie on the Hugging Face hub, at a pinned commit.

Files come from the hub's own cache (``HF_HOME``, ``HF_HUB_OFFLINE`` and ``HF_TOKEN`` work as ever),
or from ``MOTIONBEAT_HUB``: a folder with copies of repositories as ``OWNER/NAME/FILE``, for
machines without a network. Whoever fills it answers for its being the state an encoder names.
"""

import os
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar

from motionbeat.encoder import Encoder
from motionbeat.errors import MotionBeatError

TRANSFORMERS = {"transformers": "'transformers>=4.57,<5'"}


class HubEncoder(Encoder):
    """An encoder whose weights are files of one commit of a repository on the hub.

    Attributes:
        repo: owner and name.
        commit: full hash; the card's revision names its beginning.
        files: what is read of it.

    Raises:
        MotionBeatError: the weights cannot be had or read.
    """

    packages: ClassVar[Mapping[str, str]] = TRANSFORMERS  # which brings huggingface_hub
    repo: ClassVar[str]
    commit: ClassVar[str]
    files: ClassVar[tuple[str, ...]]

    @classmethod
    def unavailable(cls) -> str | None:
        """Why this encoder cannot be made here; whether the hub answers is only seen by asking."""
        if (fault := super().unavailable()) is not None or (copies := _copies()) is None:
            return fault
        missing = [file for file in cls.files if not (copies / cls.repo / file).is_file()]
        if not missing:
            return None
        return (
            f"{copies / cls.repo}: has no {', '.join(missing)}; put it there or unset "
            "MOTIONBEAT_HUB"
        )

    @classmethod
    def here(cls) -> str:
        """What a list says of it, by the files that lie where the hub's library keeps them."""
        if cls.unavailable() or _copies():
            return super().here()
        from huggingface_hub import try_to_load_from_cache

        found = (try_to_load_from_cache(cls.repo, file, revision=cls.commit) for file in cls.files)
        cached = all(isinstance(file, str) for file in found)
        return super().here() if cached else "after a download, on first use"

    @classmethod
    def folder(cls) -> Path:
        """The folder with its files, fetched unless they are here.

        Raises:
            MotionBeatError: they cannot be had.
        """
        if (fault := cls.unavailable()) is not None:
            raise MotionBeatError(f"encoder {cls.card.name}: {fault}")
        if (copies := _copies()) is not None:
            return copies / cls.repo
        from huggingface_hub import errors, hf_hub_download

        try:
            found = [hf_hub_download(cls.repo, file, revision=cls.commit) for file in cls.files]
        except errors.RepositoryNotFoundError as error:  # or one whose owner asks for consent
            raise MotionBeatError(
                f"{cls.repo}: not open to you; look at https://huggingface.co/{cls.repo} and run: "
                "hf auth login"
            ) from error
        except OSError as error:  # all that network, hub and disk throw
            raise MotionBeatError(
                f"{cls.repo}: cannot be fetched ({error.strerror or type(error).__name__}); "
                f"connect and unset HF_HUB_OFFLINE, or put {', '.join(cls.files)} of commit "
                f"{cls.commit[:8]} into MOTIONBEAT_HUB/{cls.repo}/"
            ) from error
        return Path(found[0]).parent


def _copies() -> Path | None:
    """The folder with copies of repositories that stands in for the hub, if any."""
    folder = os.environ.get("MOTIONBEAT_HUB")
    return Path(folder) if folder else None


class TransformersEncoder(HubEncoder):
    """A network of ``transformers``; no code of the repository is run.

    Attributes:
        kind: name of the network's class.
        part: of it that is used, as a path of attributes; all where it is empty.
    """

    kind: ClassVar[str]
    part: ClassVar[str] = ""
    files: ClassVar[tuple[str, ...]] = ("config.json", "model.safetensors")
    network: Any

    def __init__(self) -> None:
        super().__init__()
        import transformers

        network = pretrained(getattr(transformers, self.kind), self.folder())
        self.network = attrgetter(self.part)(network) if self.part else network
        self.eval()


def pretrained(kind: Any, folder: Path) -> Any:
    """A network of ``transformers``, frozen, with all of its weights from a folder."""
    from transformers.utils import logging

    told = logging.get_verbosity()
    logging.set_verbosity_error()  # heads that are left out, names of types: all as it should be
    try:
        network, found = kind.from_pretrained(
            folder, local_files_only=True, output_loading_info=True, ignore_mismatched_sizes=True
        )
    except Exception as error:  # a damaged file may fail in any way
        raise MotionBeatError(f"{folder}: cannot be read; fetch its files again") from error
    finally:
        logging.set_verbosity(told)
    if found["missing_keys"] or found["mismatched_keys"]:
        # They would be random numbers.
        raise MotionBeatError(f"{folder}: lacks weights of {kind.__name__}; fetch its files again")
    return network.float().eval().requires_grad_(False)
