"""What `worker/models/manifest.json` says: which networks there are, how to feed them and how to weigh them."""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from worker.contract.messages import EMOTIONS
from worker.perception.preprocessing import Colour

MODELS = Path(__file__).parent.parent / "models"
"""The folder of the models that come with the worker."""

MANIFEST = "manifest.json"
VERSION = 1

EnsembleMode = Literal["full", "adaptive"]
"""Whether every network is asked about every face, or the others only where the first one is not sure."""

Form = Literal["float32", "float16", "dynamic", "int8"]
"""How a network's numbers are stored; whatever it is, float32 goes in and float32 comes out."""

# Hex digits of the manifest's sha256 that name a set of models in events: enough to tell any two sets apart.
_DIGEST_DIGITS = 12


class ManifestError(Exception):
    """A set of models that cannot be used: one line that names the file and says what to do."""


class Input(Struct, frozen=True):
    """What a network is fed: [n, size, size, channels] of (pixels - mean) / std."""

    size: Annotated[int, Meta(ge=1)]
    colour: Colour
    mean: float
    std: Annotated[float, Meta(gt=0)]


class Model(Struct, frozen=True):
    """One network of the set. Serving reads all but `training` (how it was made) and `figures` (how good it is)."""

    name: Annotated[str, Meta(min_length=1)]
    file: Annotated[str, Meta(min_length=1)]
    sha256: str
    input: Input
    quantization: Form
    weight: Annotated[float, Meta(ge=0)]
    training: dict[str, Any] = {}
    figures: dict[str, Any] = {}


class Adaptive(Struct, frozen=True):
    """How to ask fewer networks: the model named `first` answers alone where it is sure enough.

    It is where the highest of its probabilities, calibrated by its own `temperature`, is at least `threshold`.
    Serving does not read `figures`: what that costs in accuracy, and what it saves.
    """

    first: str
    temperature: Annotated[float, Meta(gt=0)]
    threshold: float
    figures: dict[str, Any] = {}


class Manifest(Struct, frozen=True, omit_defaults=True):
    """A set of networks that answer together: weighted average of their probabilities, then `temperature`.

    Serving does not read `ensemble`: where the weights come from and how good they are. It and `adaptive` hold for
    exactly these models. `digest` is not written: it is the beginning of the sha256 of the file that the manifest was
    read from, and empty for one that was not.
    """

    version: int
    labels: list[str]
    temperature: Annotated[float, Meta(gt=0)]
    models: Annotated[list[Model], Meta(min_length=1)]
    ensemble: dict[str, Any] = {}
    adaptive: Adaptive | None = None
    digest: str = ""


class _Versioned(Struct):
    version: int


def load_manifest(folder: Path, mode: EnsembleMode = "full") -> Manifest:
    """The manifest of `folder`, every file of which is there and is what the manifest says it is.

    Raises ManifestError where it is not, and where it has no threshold and `mode` needs one.
    """
    path = folder / MANIFEST
    try:
        written = path.read_bytes()
    except OSError as failure:
        raise ManifestError(f"{path}: {failure.strerror}; make one with `training quantize`") from None
    try:
        _check_version(msgspec.json.decode(written, type=_Versioned).version, path)  # before what another may not have
        manifest = msgspec.json.decode(written, type=Manifest)
    except msgspec.DecodeError as wrong:
        raise ManifestError(f"{path}: {wrong}; make it anew with `training quantize`") from None
    _check(manifest, path)
    if mode == "adaptive" and manifest.adaptive is None:
        raise ManifestError(f"{path}: no threshold for the adaptive ensemble; fit one with `training ensemble`")
    for model in manifest.models:
        _check_file(folder / model.file, model.sha256)
    return msgspec.structs.replace(manifest, digest=hashlib.sha256(written).hexdigest()[:_DIGEST_DIGITS])


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write the manifest of `folder` whole or not at all; its files must lie there already.

    Raises ManifestError where `load_manifest` would refuse what is to be written, or where there is no room for it.
    """
    path = folder / MANIFEST
    _check(manifest, path)
    for model in manifest.models:
        _check_file(folder / model.file, model.sha256)
    text = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(manifest, digest="")), indent=2)
    unfinished = path.with_suffix(".unfinished")
    try:
        unfinished.write_bytes(text + b"\n")
        unfinished.replace(path)
    except OSError as failure:
        with suppress(OSError):
            unfinished.unlink()
        raise ManifestError(f"{path}: cannot be written ({failure.strerror}); it is what it was") from None


def file_sha256(path: Path) -> str:
    """The sha256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_version(version: int, path: Path) -> None:
    if version != VERSION:
        raise ManifestError(f"{path}: version {version}, but this worker reads version {VERSION}; match them")


def _check(manifest: Manifest, path: Path) -> None:
    _check_version(manifest.version, path)
    if tuple(manifest.labels) != EMOTIONS:
        raise ManifestError(f"{path}: labels {manifest.labels} are not the contract's {list(EMOTIONS)}; train on those")
    names = [model.name for model in manifest.models]
    if len(set(names)) != len(names):
        raise ManifestError(f"{path}: two models have one name among {names}; rename one")
    if not any(model.weight for model in manifest.models):
        raise ManifestError(f"{path}: every model has weight 0; give one a weight above 0")
    for model in manifest.models:
        if Path(model.file).name != model.file:
            raise ManifestError(f"{path}: file {model.file!r} is not beside the manifest; name a file of its folder")
    if manifest.adaptive is not None:
        _check_adaptive(manifest.adaptive, names, path)


def _check_adaptive(adaptive: Adaptive, names: list[str], path: Path) -> None:
    remedy = "fit it anew with `training ensemble`"
    if adaptive.first not in names:
        raise ManifestError(f"{path}: the adaptive ensemble asks {adaptive.first!r} first, none of {names}; {remedy}")
    if not 0 <= adaptive.threshold <= 1:
        raise ManifestError(f"{path}: the adaptive threshold {adaptive.threshold:g} is not within 0 and 1; {remedy}")


def _check_file(path: Path, sha256: str) -> None:
    try:
        found = file_sha256(path)
    except OSError as failure:
        raise ManifestError(f"{path}: {failure.strerror}, but the manifest names it; restore it") from None
    if found != sha256:
        raise ManifestError(f"{path}: sha256 {found[:12]}… is not the manifest's {sha256[:12]}…; restore the file")
