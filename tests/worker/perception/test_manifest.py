"""Reading and writing the manifest of a set of models."""

import errno
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tests.worker.perception.linear_network import write_linear_models
from worker.contract.messages import EMOTIONS
from worker.perception.manifest import MANIFEST, Adaptive, ManifestError, load_manifest, write_manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_linear_models(tmp_path, {"first": 1, "second": 2}, temperature=1.5)
    return tmp_path


def adaptive(**changes: Any) -> dict[str, Any]:
    return {"first": "first", "temperature": 1.1, "threshold": 0.8, **changes}


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / MANIFEST
    written = json.loads(path.read_text())
    change(written)
    path.write_text(json.dumps(written))


def test_a_written_manifest_is_loaded_with_its_digest_and_without_unknown_fields(folder: Path) -> None:
    rewrite(folder, lambda written: written.update(card="MobileNetV2 and friends"))
    manifest = load_manifest(folder)
    assert [model.name for model in manifest.models] == ["first", "second"]
    assert tuple(manifest.labels) == EMOTIONS
    assert manifest.temperature == 1.5
    assert manifest.digest == hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()[:12]
    write_manifest(manifest, folder)
    written = load_manifest(folder)
    assert structs.replace(written, digest=manifest.digest) == manifest
    write_manifest(written, folder)
    assert load_manifest(folder) == written, "the digest is not in the file"


def test_the_weights_and_the_threshold_are_written_and_loaded(folder: Path) -> None:
    manifest = structs.replace(
        load_manifest(folder), ensemble={"method": "learned"}, adaptive=Adaptive("second", 1.2, 0.75, {"loss": 0.002})
    )
    write_manifest(manifest, folder)
    loaded = load_manifest(folder, "adaptive")
    assert (loaded.ensemble, loaded.adaptive) == (manifest.ensemble, manifest.adaptive)


def test_a_manifest_without_the_cascade_and_small_faces_is_an_older_one_and_its_workers_ask_all(folder: Path) -> None:
    rewrite(folder, lambda written: written.update(adaptive=adaptive()))
    manifest = load_manifest(folder, "adaptive")
    assert manifest.adaptive is not None
    assert (manifest.adaptive.second, manifest.small_faces, manifest.default_mode) == (None, None, "full")
    rewrite(folder, lambda written: written["adaptive"].update(default=True))
    assert load_manifest(folder).default_mode == "adaptive"


def test_without_a_threshold_the_adaptive_ensemble_is_refused_with_what_to_do(folder: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json: no threshold .*`training ensemble`"):
        load_manifest(folder, "adaptive")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda m: m.update(version=2), "version 2"),
        (lambda m: m["labels"].reverse(), "labels"),
        (lambda m: m.update(temperature=0), "temperature"),
        (lambda m: m.update(models=[]), "models"),
        (lambda m: [model.update(weight=0) for model in m["models"]], "weight 0"),
        (lambda m: m["models"][0].update(weight=-1), "weight"),
        (lambda m: m["models"][0].update(name="second"), "the same name"),
        (lambda m: m["models"][0].update(file="../first.tflite"), "beside the manifest"),
        (lambda m: m["models"][0]["input"].update(colour="sepia"), "colour"),
        (lambda m: m["models"][0].pop("sha256"), "sha256"),
        (lambda m: m.update(version=2, models={"first": "laid out otherwise"}), "version 2, but .* version 1"),
        (lambda m: m.pop("version"), "version"),
        (lambda m: m.update(adaptive=adaptive(first="third")), r"'third', not among \['first', 'second'\]"),
        (lambda m: m.update(adaptive=adaptive(threshold=1.2)), r"threshold 1\.2 is not between 0 and 1"),
        (lambda m: m.update(adaptive=adaptive(threshold=-0.1)), r"threshold -0\.1 is not between 0 and 1"),
        (lambda m: m.update(adaptive=adaptive(temperature=0)), "temperature"),
        (lambda m: m.update(adaptive={"first": "first"}), "adaptive"),
        (lambda m: m.update(adaptive=adaptive(second={"model": "third", "temperature": 1})), "asks 'third' second"),
        (lambda m: m.update(adaptive=adaptive(second={"model": "first", "temperature": 1})), "asks 'first' second"),
        (lambda m: m.update(small_faces={"side": 0, "exponent": 1}), "small_faces"),
    ],
)
def test_an_invalid_manifest_is_refused_in_one_line(
    folder: Path, change: Callable[[dict[str, Any]], object], complaint: str
) -> None:
    rewrite(folder, change)
    with pytest.raises(ManifestError, match=complaint) as refused:
        load_manifest(folder)
    assert str(folder / MANIFEST) in str(refused.value)
    assert "\n" not in str(refused.value)


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda folder: (folder / MANIFEST).unlink(), r"manifest\.json.*training quantize"),
        (lambda folder: (folder / MANIFEST).write_text("version 1"), "training quantize"),
        (lambda folder: (folder / "second.tflite").unlink(), r"second\.tflite: No such file.*restore"),
        (lambda folder: flip_a_bit(folder / "first.tflite"), r"first\.tflite: sha256"),
    ],
)
def test_a_missing_or_damaged_file_is_refused(folder: Path, damage: Callable[[Path], object], complaint: str) -> None:
    damage(folder)
    with pytest.raises(ManifestError, match=complaint):
        load_manifest(folder)


def test_a_manifest_that_would_be_refused_is_not_written(folder: Path) -> None:
    before = (folder / MANIFEST).read_bytes()
    manifest = load_manifest(folder)
    (folder / "first.tflite").unlink()
    with pytest.raises(ManifestError):
        write_manifest(manifest, folder)
    assert (folder / MANIFEST).read_bytes() == before


def test_a_full_disk_leaves_the_manifest_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (folder / MANIFEST).read_bytes()
    manifest = load_manifest(folder)

    def write_half(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(ManifestError, match=r"manifest\.json: cannot be written \(No space left on device\)"):
        write_manifest(manifest, folder)
    assert (folder / MANIFEST).read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == ["first.tflite", "manifest.json", "second.tflite"]
