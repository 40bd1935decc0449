"""Pieces of work on the workers of a Ray cluster, or of Ray on this machine.

A worker is a process that runs one piece after another and keeps its encoders. If a worker is
killed, another one repeats its piece.
"""

import hashlib
import math
import os
import secrets
import socket
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import cloudpickle
from fsspec.implementations.memory import MemoryFileSystem
from joblib import cpu_count

import motionbeat
from motionbeat import console
from motionbeat._torchmetrics import import_torchmetrics
from motionbeat.benchmarks import extraction
from motionbeat.benchmarks.extraction import Extraction, Recording, Target
from motionbeat.benchmarks.store import EmbeddingStore
from motionbeat.console import say
from motionbeat.encoder import Encoder
from motionbeat.encoding import find_encoder, make_encoder
from motionbeat.errors import MotionBeatError, first_of
from motionbeat.files import check_writable, scratch_folder
from motionbeat.processes import ProcessError

RETRIES = 3
"""Repetitions of a piece whose workers are killed."""

PIECES = 16
"""Pieces of an extraction per worker, so that all workers end at about the same time."""

PACKAGES = (
    "torch", "torchaudio", "torchmetrics", "lightning", "numpy", "scipy", "librosa", "soxr",
    "soundfile",
)  # fmt: skip
"""Packages that affect numbers."""

FOLDERS = ("MOTIONBEAT_CACHE", "MOTIONBEAT_DATA", "MOTIONBEAT_EMBEDDINGS", "MOTIONBEAT_HUB")

_ANSWER_SECONDS = 5.0
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
_SETTINGS = b"\4"  # kind of the first frame that a server of HTTP/2 sends, which Ray's are
_PATIENCE = 30.0  # s without a worker, after which that is said
_OBJECT_STORE_BYTES = 200 << 20  # calls and messages are small, and all else lies in files


class ClusterError(MotionBeatError):
    """A cluster that cannot be used, or pieces that failed."""


class Piece(NamedTuple):
    """Work for one worker, which writes its results to files.

    Attributes:
        name: name for messages.
        call: does the work, and returns what failed, one line each. It may be called again.
        size: steps on the progress bar.
    """

    name: str
    call: Callable[[], list[str]]
    size: int = 1


class Answer(NamedTuple):
    """Answer of a worker after a piece.

    Attributes:
        said: messages.
        failures: what the piece returned.
        error: an error that the user can fix and that ended the piece; empty if none.
    """

    said: str
    failures: list[str]
    error: str


@cache
def _code() -> str:
    """Digest of the package's code, as two checkouts may say the same version."""
    root = Path(motionbeat.__file__).parent
    digest = hashlib.sha256()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        subfolders.sort()
        for name in sorted(files):
            if name.endswith(".py"):
                path = Path(folder, name)
                digest.update(str(path.relative_to(root)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def versions() -> dict[str, str]:
    """Versions of packages that affect numbers, in this process."""
    found = {"motionbeat": f"{motionbeat.__version__} (code {_code()})"}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


@dataclass(frozen=True)
class Needs:
    """What workers must have in common with the driver.

    Attributes:
        versions: versions of packages.
        places: shared folders.
        audio: some audio files of the datasets.
        encoders: revisions of encoders by name.
        environment: environment variables.
        folder: the current folder, for relative paths.
    """

    versions: Mapping[str, str]
    places: tuple[Path, ...] = ()
    audio: tuple[Path, ...] = ()
    encoders: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = "."

    def lacking(self) -> str:
        """What is missing in this process, with the remedy; empty if nothing is."""
        own = versions()
        for name, wanted in self.versions.items():
            if own[name] != wanted:
                return (
                    f"has {name} {own[name]}, the driver {wanted}; install the same versions on "
                    "all machines"
                )
        for place in self.places:
            if not place.is_dir():
                return (
                    f"does not see {place.parent}; choose a folder that all machines share, by "
                    "--cache and --results"
                )
        for path in self.audio:
            if not path.is_file():
                return (
                    f"does not see {path}; put the dataset where all machines see it by the same "
                    "path (--data)"
                )
        for name, revision in self.encoders.items():
            try:
                encoder = find_encoder(name)
            except MotionBeatError as error:
                return str(error)
            if why := encoder.unavailable():
                return f"cannot make encoder {encoder.card.name}: {why}"
            if encoder.card.revision != revision:
                return (
                    f"has revision {encoder.card.revision} of encoder {encoder.card.name}, the "
                    f"driver {revision}; put the same file on all machines"
                )
        return ""


class Worker:
    """A process of the cluster.

    Args:
        needs: what it must have.
        processors: number of processors that it may use.
    """

    def __init__(self, needs: Needs, processors: int) -> None:
        import torch

        os.environ.update(needs.environment)
        os.environ["LOKY_MAX_CPU_COUNT"] = str(processors)  # what joblib counts
        torch.set_num_threads(processors)
        if Path(needs.folder).is_dir():
            os.chdir(needs.folder)
        console.LINE_SECONDS = math.inf  # progress is shown by the driver
        import_torchmetrics()
        self.needs = needs

    def check(self) -> Answer:
        """Report what is missing."""
        lacking = self.needs.lacking()
        return Answer("", [], f"the worker on {socket.gethostname()} {lacking}" if lacking else "")

    def do(self, call: bytes) -> Answer:
        """Run a piece."""
        failures, error = [], ""
        with console.console.capture() as said:
            try:
                failures = cloudpickle.loads(call)()
            except ProcessError:  # a decoding process was killed: so that the piece is repeated
                os._exit(1)
            except MotionBeatError as fault:
                error = str(fault)
            except OSError as fault:
                error = f"{fault.filename or 'disk'}: {fault.strerror or fault}"
        return Answer(said.get(), failures, error)


class Cluster:
    """The workers: one per GPU if the cluster has GPUs, otherwise one per processor.

    Args:
        ray: the package, connected.
        needs: what every worker must have.
    """

    def __init__(self, ray: ModuleType, needs: Needs) -> None:
        self._ray = ray
        found = ray.cluster_resources()
        gpus, processors = int(found.get("GPU", 0)), int(found.get("CPU", 1))
        self.size = gpus or max(1, processors)
        self._kind = ray.remote(Worker).options(num_cpus=1, num_gpus=1 if gpus else 0)
        self._given = needs, max(1, processors // self.size)
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Piece | None]] = {}  # by what is waited for

    def extract(
        self,
        targets: Mapping[int, Target],
        recordings: Sequence[Recording],
        store: EmbeddingStore,
        how: Extraction,
        advance: Callable[[int], None],
    ) -> list[str]:
        """Run :func:`motionbeat.benchmarks.extraction.extract` on all workers.

        Raises:
            ClusterError: some pieces failed, and all others are finished; or a worker does not
                have what it needs.
        """
        pieces = [
            Piece(
                f"tracks {part[0].name} to {part[-1].name}",
                partial(extraction.extract, targets, part, store, how, make=_held),
                len(part),
            )
            for part in pieces_of(recordings, self.size * PIECES)
        ]
        failures = self.run(pieces, advance)
        for target in targets.values():
            target.embeddings.refresh()
        return failures

    def run(self, pieces: Sequence[Piece], advance: Callable[[int], None]) -> list[str]:
        """Run all pieces, and return what they return.

        Raises:
            ClusterError: some pieces failed, and all others are finished; or a worker does not
                have what it needs.
        """
        waiting = deque(pieces)
        lost: Counter[str] = Counter()
        failures: list[str] = []
        errors: list[str] = []
        while waiting or any(piece for _, piece in self._busy.values()):
            while waiting and self._idle:
                given, worker = waiting.popleft(), self._idle.pop()
                self._busy[worker.do.remote(cloudpickle.dumps(given.call))] = worker, given
            unstarted = sum(piece is None for _, piece in self._busy.values())
            room = self.size - len(self._busy) - len(self._idle)
            for _ in range(min(room, len(waiting) - unstarted)):
                worker = self._kind.remote(*self._given)
                self._busy[worker.check.remote()] = worker, None
            piece, answer = self._next()
            if answer is None:
                name = piece.name if piece else "a worker that started"
                lost[name] += 1
                if lost[name] <= RETRIES:
                    waiting.extend([piece] if piece else [])
                    continue
                error = f"killed {RETRIES + 1} times, probably for lack of memory"
                if piece is None:
                    raise ClusterError(f"{name} was {error}")
                answer = Answer("", [], error)
            for line in answer.said.splitlines():
                say(line)
            if piece is not None:
                failures += answer.failures
                errors += [f"{piece.name}: {answer.error}"] if answer.error else []
                advance(piece.size)
            elif answer.error:
                raise ClusterError(answer.error)
        if errors:
            raise ClusterError(
                f"{len(errors)} of {len(pieces)} pieces failed, all others are finished: "
                + first_of(errors)
            )
        return failures

    def _next(self) -> tuple[Piece | None, Answer | None]:
        """Wait for a worker; return its piece, and its answer or None if it was killed."""
        errors = self._ray.exceptions
        ended, _ = self._ray.wait(list(self._busy), timeout=_PATIENCE)
        if not ended:
            if all(piece is None for _, piece in self._busy.values()):
                say("waiting until a worker of the cluster is free")
            ended, _ = self._ray.wait(list(self._busy))
        worker, piece = self._busy.pop(ended[0])
        try:
            answer: Answer = self._ray.get(ended[0])
        except errors.RayActorError:
            return piece, None
        except errors.RayTaskError as error:
            if piece is not None:
                raise
            raise ClusterError(
                f"a worker of the cluster does not start ({str(error).splitlines()[-1]}); "
                "install the same versions of motionbeat and Python on all machines"
            ) from error
        self._idle.append(worker)
        return piece, answer


@cache
def _held(encoder: str | Encoder) -> Encoder:
    """An encoder that a worker keeps from piece to piece."""
    return make_encoder(encoder)


def pieces_of(recordings: Sequence[Recording], count: int) -> list[list[Recording]]:
    """Recordings in at most ``count`` pieces of about the same number of seconds."""
    ends = list(accumulate(one.seconds for one in recordings))
    pieces: dict[int, list[Recording]] = {}
    for one, end in zip(recordings, ends, strict=True):
        middle = end - one.seconds / 2
        pieces.setdefault(int(middle / ends[-1] * count), []).append(one)
    return list(pieces.values())


def shared_folders(store: EmbeddingStore) -> list[Path]:
    """The folder of a store that all workers must share; none if it is at another address.

    Raises:
        ClusterError: the store is in the memory of a process.
    """
    if isinstance(store.fs, MemoryFileSystem):
        raise ClusterError(
            f"embeddings at {store}: are seen by one process alone; give a folder or an address "
            "that all workers share, or leave --ray out"
        )
    return [store.folder] if store.folder else []


def check_address(address: str) -> None:
    """Check that Ray is installed and that something answers at an address.

    Raises:
        ClusterError: one of them is not the case.
    """
    if find_spec("ray") is None:
        raise ClusterError("--ray needs a package; run: pip install 'motionbeat[ray]'")
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or int(port) > 65535:
        raise ClusterError(
            f"--ray {address}: is no address; write auto, or HOST:PORT as ray start --head says it"
        )
    try:
        with socket.create_connection((host, int(port)), _ANSWER_SECONDS) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                connection.sendall(_GREETING)
                if connection.recv(4)[3:] != _SETTINGS:
                    raise OSError(None, "what answers is not Ray")
    except OSError as error:
        raise ClusterError(
            f"--ray {address}: cannot be joined ({error.strerror or error}); start a cluster by "
            "ray start --head, or write auto"
        ) from error


@contextmanager
def joined(
    address: str, encoders: Sequence[str], places: Sequence[Path], audio: Sequence[Path]
) -> Iterator[Cluster]:
    """The workers of a cluster, until the end of the block.

    Args:
        address: ``auto`` starts Ray on this machine; otherwise ``HOST:PORT`` of a cluster that
            this machine is part of.
        encoders: names of encoders that all workers must have.
        places: folders that all workers must share.
        audio: files that all workers must share.

    Raises:
        ClusterError: the cluster cannot be joined.
        WriteError: a place is not writable.
    """
    with ExitStack() as stack:
        for place in places:
            check_writable(place)
        tokens = tuple(stack.enter_context(scratch_folder(place)) for place in places)
        needs = Needs(
            versions(),
            tokens,
            tuple(audio),
            {name: find_encoder(name).card.revision for name in encoders},
            {name: _absolute(os.environ[name]) for name in FOLDERS if os.environ.get(name)},
            os.getcwd(),
        )
        ray = _connected(address)
        stack.callback(ray.shutdown)
        yield Cluster(ray, needs)


def _absolute(place: str) -> str:
    return place if "://" in place else os.path.abspath(place)


def _connected(address: str) -> ModuleType:
    """Ray, connected to a cluster, without output of its own."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "auto":
        os.environ.setdefault("RAY_worker_niceness", "0")  # workers are all that works here
        if "RAY_AUTH_MODE" not in os.environ:
            # A token for this run alone; Ray would leave one in the home folder.
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        options |= {
            "address": "local",
            "num_cpus": cpu_count(),
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE_BYTES,
        }
    else:
        options["address"] = address
    import ray
    from ray._private import worker

    worker._worker_logs_enabled = False  # no setting keeps what it says of killed workers
    try:
        ray.init(**options)
    except Exception as error:  # of any kind, by what is wrong
        ray.shutdown()
        raise ClusterError(
            f"--ray {address}: cannot be joined ({' '.join(str(error).split())}); make this "
            "machine part of the cluster by ray start --address=HOST:PORT, with the same Ray and "
            "Python; if it asks for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH"
        ) from error
    module: ModuleType = ray
    return module
