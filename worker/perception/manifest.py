"""The manifest of a set of models (`worker/models/manifest.json`): their files, their inputs and their weights."""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from worker.contract.messages import EMOTIONS
from worker.perception.preprocessing import Colour

MODELS = Path(__file__).parent.parent / "models"
"""The folder of the models that are part of the worker."""

MANIFEST = "manifest.json"
VERSION = 1

EnsembleMode = Literal["full", "adaptive"]
"""full: all models predict every face. adaptive: the cascade of `Adaptive`, which asks others only if it must."""

Form = Literal["float32", "float16", "dynamic", "int8"]
"""The number format inside the file. Input and output are always float32."""

# Hex digits of the manifest's sha256 that identify a set of models in events.
_DIGEST_DIGITS = 12


class ChosenModels(NamedTuple):
    """The folder of a set of models, and the mode of its ensemble; None leaves the mode to the manifest."""

    folder: Path = MODELS
    mode: EnsembleMode | None = None


SHIPPED = ChosenModels()


class ManifestError(Exception):
    """A set of models that cannot be used. The message is one line with the file and what to do."""


class Input(Struct, frozen=True):
    """The input of a model: [n, size, size, channels] of (pixels - mean) / std."""

    size: Annotated[int, Meta(ge=1)]
    colour: Colour
    mean: float
    std: Annotated[float, Meta(gt=0)]


class Model(Struct, frozen=True):
    """One model of the set. Serving does not read `training` (how it was made) and `figures` (its accuracy)."""

    name: Annotated[str, Meta(min_length=1)]
    file: Annotated[str, Meta(min_length=1)]
    sha256: str
    input: Input
    quantization: Form
    weight: Annotated[float, Meta(ge=0)]
    training: dict[str, Any] = {}
    figures: dict[str, Any] = {}


class Second(Struct, frozen=True):
    """The model of the adaptive ensemble that is asked second. `temperature` calibrates the average of both models."""

    model: Annotated[str, Meta(min_length=1)]
    temperature: Annotated[float, Meta(gt=0)]


class Adaptive(Struct, frozen=True, omit_defaults=True):
    """The adaptive ensemble: the model named `first` predicts alone if its confidence is at least `threshold`.

    The confidence is its highest probability, calibrated by its own `temperature`. Otherwise `second` is asked. If both
    predict the same emotion, their average is the answer, else all models are asked. Without `second`, all are asked at
    once. `rest_temperature` calibrates the average of all models, which are asked about difficult faces only; without
    it, the manifest's does. `default` is true if the adaptive ensemble lost so little on every validation set that
    it is the default of workers. Serving does not read `figures`: the loss of accuracy and the time saved.
    """

    first: str
    temperature: Annotated[float, Meta(gt=0)]
    threshold: float
    figures: dict[str, Any] = {}
    second: Second | None = None
    rest_temperature: Annotated[float, Meta(gt=0)] | None = None
    default: bool = False


class SmallFaces(Struct, frozen=True):
    """The higher temperature of small faces, whose scores are less certain.

    A crop with a side of fewer than `side` pixels has (`side` / its own side) ** `exponent` times the temperature.
    """

    side: Annotated[int, Meta(ge=1)]
    exponent: Annotated[float, Meta(ge=0)]


class Manifest(Struct, frozen=True, omit_defaults=True):
    """A set of models. The ensemble is the weighted average of their probabilities, calibrated by `temperature`.

    `small_faces` changes every temperature for small faces; without it, it is the same for all sizes. Serving does not
    read `ensemble`: the origin of the weights, and the accuracy. It and `adaptive` are valid for exactly these models.
    `digest` is the beginning of the sha256 of the file that the manifest was read from. It is not written, and empty
    for a manifest that was not read from a file.
    """

    version: int
    labels: list[str]
    temperature: Annotated[float, Meta(gt=0)]
    models: Annotated[list[Model], Meta(min_length=1)]
    ensemble: dict[str, Any] = {}
    adaptive: Adaptive | None = None
    small_faces: SmallFaces | None = None
    digest: str = ""

    @property
    def default_mode(self) -> EnsembleMode:
        """The mode of a worker that was given none."""
        return "adaptive" if self.adaptive is not None and self.adaptive.default else "full"


class _Versioned(Struct):
    version: int


def load_manifest(folder: Path, mode: EnsembleMode | None = None) -> Manifest:
    """The manifest of `folder`, after a check of all its files.

    Raises ManifestError if it or a file is missing or wrong, or if `mode` needs a threshold and there is none.
    """
    path = folder / MANIFEST
    try:
        written = path.read_bytes()
    except OSError as failure:
        raise ManifestError(f"{path}: {failure.strerror}; make one with `training quantize`") from None
    try:
        # The version is checked first, because another version may have other fields.
        _check_version(msgspec.json.decode(written, type=_Versioned).version, path)
        manifest = msgspec.json.decode(written, type=Manifest)
    except msgspec.DecodeError as wrong:
        raise ManifestError(f"{path}: {wrong}; make it again with `training quantize`") from None
    _check(manifest, path)
    if mode == "adaptive" and manifest.adaptive is None:
        raise ManifestError(f"{path}: no threshold for the adaptive ensemble; fit one with `training ensemble`")
    return msgspec.structs.replace(manifest, digest=hashlib.sha256(written).hexdigest()[:_DIGEST_DIGITS])


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write the manifest of `folder`, completely or not at all. Its model files must be there already.

    Raises ManifestError if `load_manifest` would refuse it, or if it cannot be written.
    """
    path = folder / MANIFEST
    _check(manifest, path)
    text = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(manifest, digest="")), indent=2)
    unfinished = path.with_suffix(".unfinished")
    try:
        unfinished.write_bytes(text + b"\n")
        unfinished.replace(path)
    except OSError as failure:
        with suppress(OSError):
            unfinished.unlink()
        raise ManifestError(f"{path}: cannot be written ({failure.strerror}); it is unchanged") from None


def file_sha256(path: Path) -> str:
    """The sha256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_version(version: int, path: Path) -> None:
    if version != VERSION:
        raise ManifestError(f"{path}: version {version}, but this worker reads version {VERSION}; use one version")


def _check(manifest: Manifest, path: Path) -> None:
    _check_version(manifest.version, path)
    if tuple(manifest.labels) != EMOTIONS:
        raise ManifestError(f"{path}: labels {manifest.labels} are not the contract's {list(EMOTIONS)}; train on these")
    names = [model.name for model in manifest.models]
    if len(set(names)) != len(names):
        raise ManifestError(f"{path}: two models have the same name among {names}; rename one")
    if not any(model.weight for model in manifest.models):
        raise ManifestError(f"{path}: every model has weight 0; give one a weight above 0")
    if manifest.adaptive is not None:
        _check_adaptive(manifest.adaptive, names, path)
    for model in manifest.models:
        if Path(model.file).name != model.file:
            raise ManifestError(f"{path}: file {model.file!r} is not beside the manifest; give a name without folder")
        _check_file(path.with_name(model.file), model.sha256)


def _check_adaptive(adaptive: Adaptive, names: list[str], path: Path) -> None:
    remedy = "fit it again with `training ensemble`"
    if adaptive.first not in names:
        raise ManifestError(f"{path}: adaptive ensemble begins with {adaptive.first!r}, not among {names}; {remedy}")
    if adaptive.second is not None and adaptive.second.model not in set(names) - {adaptive.first}:
        raise ManifestError(f"{path}: adaptive ensemble asks {adaptive.second.model!r} second; {remedy}")
    if not 0 <= adaptive.threshold <= 1:
        raise ManifestError(f"{path}: the adaptive threshold {adaptive.threshold:g} is not between 0 and 1; {remedy}")


def _check_file(path: Path, sha256: str) -> None:
    try:
        found = file_sha256(path)
    except OSError as failure:
        raise ManifestError(f"{path}: {failure.strerror}, but the manifest lists it; restore it") from None
    if found != sha256:
        raise ManifestError(f"{path}: sha256 {found[:12]}… is not the manifest's {sha256[:12]}…; restore the file")
