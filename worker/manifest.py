"""What `worker/models/manifest.json` says: which networks there are, how to feed them and how to weigh them."""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from worker.contract.messages import EMOTIONS
from worker.preprocessing import Colour

MODELS = Path(__file__).parent / "models"
"""The folder of the models that come with the worker."""

MANIFEST = "manifest.json"
VERSION = 1

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


class Manifest(Struct, frozen=True, omit_defaults=True):
    """A set of networks that answer together: weighted average of their probabilities, then `temperature`.

    `digest` is not written: it is the beginning of the sha256 of the file that the manifest was read from, and
    empty for one that was not.
    """

    version: int
    labels: list[str]
    temperature: Annotated[float, Meta(gt=0)]
    models: Annotated[list[Model], Meta(min_length=1)]
    digest: str = ""


def load_manifest(folder: Path) -> Manifest:
    """The manifest of `folder`, every file of which is there and is what the manifest says it is.

    Raises ManifestError where it is not.
    """
    path = folder / MANIFEST
    try:
        written = path.read_bytes()
    except OSError as failure:
        raise ManifestError(f"{path}: {failure.strerror}; make one with `training quantize`") from None
    try:
        manifest = msgspec.json.decode(written, type=Manifest)
    except msgspec.DecodeError as wrong:
        raise ManifestError(f"{path}: {wrong}; make it anew with `training quantize`") from None
    _check(manifest, path)
    for model in manifest.models:
        _check_file(folder / model.file, model.sha256)
    return msgspec.structs.replace(manifest, digest=hashlib.sha256(written).hexdigest()[:_DIGEST_DIGITS])


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write the manifest of `folder` whole or not at all; its files must lie there already.

    Raises ManifestError where `load_manifest` would refuse what is to be written.
    """
    path = folder / MANIFEST
    _check(manifest, path)
    for model in manifest.models:
        _check_file(folder / model.file, model.sha256)
    text = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(manifest, digest="")), indent=2)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_bytes(text + b"\n")
    unfinished.replace(path)


def file_sha256(path: Path) -> str:
    """The sha256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check(manifest: Manifest, path: Path) -> None:
    if manifest.version != VERSION:
        raise ManifestError(f"{path}: version {manifest.version}, but this worker reads version {VERSION}; match them")
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


def _check_file(path: Path, sha256: str) -> None:
    try:
        found = file_sha256(path)
    except OSError as failure:
        raise ManifestError(f"{path}: {failure.strerror}, but the manifest names it; restore it") from None
    if found != sha256:
        raise ManifestError(f"{path}: sha256 {found[:12]}… is not the manifest's {sha256[:12]}…; restore the file")
