"""The models and their ensemble, on small linear models with known answers."""

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.worker.perception.linear_network import SIDE, linear_network, linear_weights, write_linear_models
from worker.contract.messages import EMOTIONS
from worker.perception.emotions import BATCH, SAME_SHARE, Ensemble, _asked_at, calibrate, combine, softmax
from worker.perception.interpreter import TFLiteModel
from worker.perception.manifest import (
    Adaptive,
    EnsembleMode,
    Input,
    Manifest,
    ManifestError,
    Second,
    SmallFaces,
    load_manifest,
    write_manifest,
)
from worker.perception.preprocessing import Image, network_pixels

Rows = npt.NDArray[np.float32]

logits = st.integers(0, 5).flatmap(lambda n: arrays(np.float32, (n, 7), elements=st.floats(-1e4, 1e4, width=32)))
probabilities = arrays(np.float32, (4, 7), elements=st.floats(0, 100, width=32)).map(softmax)


@given(logits, st.integers(-100, 100))
def test_softmax_gives_distributions_that_are_the_same_after_a_constant_is_added(values: Rows, constant: int) -> None:
    result = softmax(values)
    assert result.shape == values.shape
    assert np.allclose(result.sum(axis=1), 1, atol=1e-5)
    assert (result >= 0).all()
    assert np.allclose(result, softmax(values + np.float32(constant)), atol=1e-2)


@given(probabilities, probabilities, st.floats(0, 10), st.floats(0.1, 10))
def test_an_average_sums_to_one_and_lies_between_its_models(a: Rows, b: Rows, weight_a: float, weight_b: float) -> None:
    average = combine({"a": a, "b": b}, {"a": weight_a, "b": weight_b})
    assert np.allclose(average.sum(axis=1), 1, atol=1e-5)
    assert (average >= np.minimum(a, b) - 1e-6).all()
    assert (average <= np.maximum(a, b) + 1e-6).all()


@given(probabilities, probabilities)
def test_only_the_proportion_of_weights_counts_and_not_the_order_of_models(a: Rows, b: Rows) -> None:
    both = {"a": a, "b": b}
    assert np.allclose(combine(both, {"a": 1, "b": 3}), combine(both, {"a": 10, "b": 30}), atol=1e-6)
    assert np.array_equal(combine(both, {"a": 0.7, "b": 2.0}), combine({"b": b, "a": a}, {"a": 0.7, "b": 2.0}))
    assert np.array_equal(combine(both, {"a": 1, "b": 0}), a)


@given(probabilities, st.floats(1.1, 10))
def test_a_higher_temperature_flattens_and_a_lower_one_sharpens(rows: Rows, temperature: float) -> None:
    assert np.allclose(calibrate(rows, 1.0), rows, atol=1e-6)
    assert (calibrate(rows, temperature).max(axis=1) <= rows.max(axis=1) + 1e-6).all()
    assert (calibrate(rows, 1 / temperature).max(axis=1) >= rows.max(axis=1) - 1e-6).all()


def crops(n: int) -> list[Image]:
    """Crops of noise in many sizes."""
    random = np.random.default_rng(7)
    return [random.integers(0, 256, (SIDE + 3 * i, SIDE + 3 * i, 3), np.uint8) for i in range(n)]


def expected_from(faces: list[Image], seed: int) -> Rows:
    """The probabilities of the linear model with this seed, calculated here."""
    kernel, bias = linear_weights(seed)
    pixels = [(network_pixels(face, SIDE, "grey").astype(np.float32) - 127.5) / 127.5 for face in faces]
    return softmax(np.stack(pixels).reshape(len(faces), -1) @ kernel.T + bias)


def test_an_ensemble_of_one_model_predicts_what_its_weights_say(tmp_path: Path) -> None:
    write_linear_models(tmp_path, {"only": 3})
    faces = crops(BATCH + 2)
    predictions = Ensemble.load(tmp_path).predict(faces)
    assert np.allclose(predictions.by_model["only"], expected_from(faces, 3), atol=1e-5)
    assert np.allclose(predictions.scores, predictions.by_model["only"], atol=1e-6)
    assert predictions.scores.dtype == np.float32


def test_several_models_are_averaged_and_calibrated(tmp_path: Path) -> None:
    write_linear_models(tmp_path, {"first": 1, "second": 2}, temperature=2.0)
    faces = crops(5)
    roots = np.sqrt((expected_from(faces, 1) + expected_from(faces, 2)) / 2)  # softmax(log(p) / 2)
    expected = roots / roots.sum(axis=1, keepdims=True)
    assert np.allclose(Ensemble.load(tmp_path).predict(faces).scores, expected, atol=1e-5)


@pytest.mark.parametrize("n", [0, 1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH])
def test_a_face_has_the_same_scores_alone_and_in_any_batch(tmp_path: Path, n: int) -> None:
    write_linear_models(tmp_path, {"first": 1, "second": 2})
    ensemble, faces = Ensemble.load(tmp_path), crops(n)
    together = ensemble.predict(faces)
    assert together.scores.shape == (n, 7)
    assert set(together.by_model) == {"first", "second"}
    for i, face in enumerate(faces):
        assert np.allclose(together.scores[i], ensemble.predict([face]).scores[0], atol=1e-6)


def with_adaptive(folder: Path, threshold: float, second: int = 2) -> Manifest:
    """Three models, the second with another input. The third is the first model of the adaptive ensemble."""
    manifest = write_linear_models(folder, {"second": second, "other": 5, "first": 1}, temperature=1.3)
    other = msgspec.structs.replace(manifest.models[1], input=Input(SIDE, "grey", 100.0, 50.0), weight=0.4)
    models = [manifest.models[0], other, manifest.models[2]]
    adaptive = Adaptive("first", temperature=1.7, threshold=threshold)
    write_manifest(msgspec.structs.replace(manifest, models=models, adaptive=adaptive), folder)
    return load_manifest(folder, "adaptive")


def confidence(faces: list[Image]) -> Rows:
    return np.asarray(calibrate(expected_from(faces, 1), 1.7).max(axis=1), np.float32)


def threshold_that_escalates(n: int, faces: list[Image]) -> float:
    """Halfway between two confidences, so that no rounding can move a face across it."""
    ascending = [0.0, *np.sort(confidence(faces)).tolist()]
    return float(ascending[n] + ascending[n + 1]) / 2


@pytest.mark.parametrize("n", [1, BATCH, 3 * BATCH + 1])
def test_the_adaptive_scores_are_the_first_models_if_it_is_confident_and_else_the_full_ensembles(
    tmp_path: Path, n: int
) -> None:
    faces = crops(n)
    threshold = threshold_that_escalates(n // 2, faces)
    with_adaptive(tmp_path, threshold)
    confident = confidence(faces) >= threshold
    assert (~confident).sum() == n // 2
    full = Ensemble.load(tmp_path).predict(faces)

    adaptive = Ensemble.load(tmp_path, mode="adaptive").predict(faces)

    assert np.array_equal(adaptive.escalated, ~confident)
    assert adaptive.scores.shape == (n, 7)
    assert np.allclose(adaptive.scores[confident], calibrate(expected_from(faces, 1), 1.7)[confident], atol=1e-5)
    assert np.allclose(adaptive.scores[~confident], full.scores[~confident], atol=1e-6)
    assert list(adaptive.by_model) == ["second", "other", "first"]
    for name, rows in adaptive.by_model.items():
        ran = ~confident | (name == "first")
        assert np.allclose(rows[ran], full.by_model[name][ran], atol=1e-6)
        assert np.isnan(rows[~ran]).all()
    for i, labels in enumerate(adaptive.labels()):
        assert set(labels) == ({"first"} if confident[i] else {"first", "second", "other"})
        assert labels == {name: EMOTIONS[int(full.by_model[name][i].argmax())] for name in labels}


@pytest.mark.parametrize("n", [5, 5 * BATCH + 1])
def test_the_cascade_asks_the_second_model_of_uncertain_faces_and_the_third_if_the_first_two_disagree(
    tmp_path: Path, n: int
) -> None:
    faces = [np.full((SIDE, SIDE, 3), brightness, np.uint8) for brightness in np.linspace(0, 255, n)]
    manifest = with_adaptive(tmp_path, threshold_that_escalates(n - n // 3 - 1, faces), second=10)
    assert manifest.adaptive is not None
    cascade = msgspec.structs.replace(manifest.adaptive, second=Second("second", 0.7))
    write_manifest(msgspec.structs.replace(manifest, adaptive=cascade), tmp_path)
    full = Ensemble.load(tmp_path).predict(faces)
    uncertain = confidence(faces) < cascade.threshold
    disagree = full.by_model["first"].argmax(axis=1) != full.by_model["second"].argmax(axis=1)
    average = combine({name: full.by_model[name] for name in ("first", "second")}, {"first": 1, "second": 1})

    served = Ensemble.load(tmp_path, mode="adaptive").predict(faces)

    asked = {"first": np.ones(n, bool), "second": uncertain, "other": uncertain & disagree}
    for name, rows in asked.items():
        assert np.array_equal(~np.isnan(served.by_model[name][:, 0]), rows)
    assert [set(labels) for labels in served.labels()] == [
        {m for m, rows in asked.items() if rows[i]} for i in range(n)
    ]
    agreed = uncertain & ~disagree
    assert np.allclose(served.scores[agreed], calibrate(average, 0.7)[agreed], atol=1e-5)
    assert np.allclose(served.scores[asked["other"]], full.scores[asked["other"]], atol=1e-5)
    assert np.array_equal(served.escalated, uncertain)
    assert agreed.any()
    assert asked["other"].any()
    assert not uncertain.all()


def test_the_cascade_never_asks_a_model_of_weight_0_after_the_first(tmp_path: Path) -> None:
    manifest = with_adaptive(tmp_path, 1.0)
    models = [msgspec.structs.replace(m, weight=float(m.name != "other")) for m in manifest.models]
    write_manifest(msgspec.structs.replace(manifest, models=models), tmp_path)
    faces = crops(BATCH)
    assert [set(labels) for labels in Ensemble.load(tmp_path, mode="adaptive").predict(faces).labels()] == [
        {"first", "second"}
    ] * BATCH
    assert set(Ensemble.load(tmp_path).predict(faces).labels()[0]) == {"first", "second", "other"}


def test_small_faces_are_less_certain_in_every_stage_and_keep_their_emotion(tmp_path: Path) -> None:
    faces = crops(2 * BATCH)
    modes: tuple[EnsembleMode, ...] = ("full", "adaptive")
    for threshold in (0.0, 1.0):
        manifest = with_adaptive(tmp_path, threshold)
        plain = [Ensemble.load(tmp_path, mode=mode).predict(faces) for mode in modes]
        write_manifest(msgspec.structs.replace(manifest, small_faces=SmallFaces(20, 0.5)), tmp_path)
        for before, mode in zip(plain, modes, strict=True):
            after = Ensemble.load(tmp_path, mode=mode).predict(faces)
            assert np.array_equal(after.sides, [len(face) for face in faces])
            small = after.sides < 20
            factors = np.sqrt(20 / after.sides[small])
            assert np.allclose(after.scores[~small], before.scores[~small])
            assert np.allclose(after.scores[small], calibrate(before.scores[small], factors), atol=1e-5)
            assert (after.scores.argmax(axis=1) == before.scores.argmax(axis=1)).all()


def test_the_full_ensemble_runs_all_models_on_every_face_and_escalates_none(tmp_path: Path) -> None:
    with_adaptive(tmp_path, 0.5)
    predictions = Ensemble.load(tmp_path).predict(crops(5))
    assert not predictions.escalated.any()
    assert [set(labels) for labels in predictions.labels()] == [{"first", "second", "other"}] * 5


@pytest.mark.parametrize(("threshold", "escalated"), [(0.0, 0), (1.0, 3 * BATCH)])
def test_at_the_extreme_thresholds_no_face_or_every_face_is_escalated(
    tmp_path: Path, threshold: float, escalated: int
) -> None:
    with_adaptive(tmp_path, threshold)
    ensemble = Ensemble.load(tmp_path, mode="adaptive")
    assert ensemble.predict(crops(3 * BATCH)).escalated.sum() == escalated
    nobody = ensemble.predict([])
    assert (nobody.scores.shape, nobody.by_model["second"].shape, nobody.escalated.shape) == ((0, 7), (0, 7), (0,))


def test_only_escalated_faces_run_through_the_other_models_and_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = crops(3 * BATCH)
    with_adaptive(tmp_path, threshold_that_escalates(BATCH, faces))
    ensemble = Ensemble.load(tmp_path, mode="adaptive")
    batches: list[int] = []
    run = TFLiteModel.__call__

    def counted(network: TFLiteModel, batch: Rows) -> list[Rows]:
        batches.append(len(batch))
        return run(network, batch)

    monkeypatch.setattr(TFLiteModel, "__call__", counted)
    assert ensemble.predict(faces).escalated.sum() == BATCH
    assert batches == [BATCH] * 3 + [BATCH] + [BATCH]  # three of the first, one of each other


def test_the_others_are_not_asked_again_while_the_first_model_sees_the_same(tmp_path: Path) -> None:
    with_adaptive(tmp_path, 1.0)  # every face is uncertain
    ensemble = Ensemble.load(tmp_path, mode="adaptive")
    one, other = np.zeros((12, 12, 3), np.uint8), np.full((12, 12, 3), 255, np.uint8)
    first = ensemble.predict([one, other]).by_model["first"]
    assert np.abs(first[0] - first[1]).sum() / 2 > SAME_SHARE
    seen = ensemble.predict([one, one, other, one], before=[-1, 0, 1, 2])
    assert seen.escalated.tolist() == [True, False, True, True]
    assert np.array_equal(seen.by_model["second"], ensemble.predict([one, one, other, one]).by_model["second"])
    assert all(set(labels) == {"first", "second", "other"} for labels in seen.labels())
    strangers = ensemble.predict([one, one], before=[-1, -1])
    assert strangers.escalated.all()


def test_the_first_model_is_compared_with_the_frame_in_which_the_others_were_asked() -> None:
    moved = np.linspace(0, 0.9, 11, dtype=np.float32)[:, np.newaxis]
    first = np.hstack([1 - moved, moved, np.zeros((11, 5), np.float32)])  # each time 0.09 of the probability moves
    confident = np.array([n in (4, 5) for n in range(11)])
    asked_at = _asked_at(first, confident, range(-1, 10))
    assert asked_at.tolist() == [0, 0, 0, 3, 4, 5, 6, 6, 6, 9, 9]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"not a network", "not a model"), (linear_network(*linear_weights(1, outputs=8)), r"\(8,\) instead of 7")],
)
def test_a_file_that_is_not_a_model_with_seven_outputs_is_refused(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    manifest = write_linear_models(tmp_path, {"only": 1})
    model = msgspec.structs.replace(manifest.models[0], sha256=hashlib.sha256(content).hexdigest())
    (tmp_path / model.file).write_bytes(content)
    write_manifest(msgspec.structs.replace(manifest, models=[model]), tmp_path)
    with pytest.raises(ManifestError, match=rf"only\.tflite: {complaint}"):
        Ensemble.load(tmp_path)


def test_a_model_with_another_input_than_in_the_manifest_is_refused(tmp_path: Path) -> None:
    manifest = write_linear_models(tmp_path, {"only": 1})
    model = manifest.models[0]
    wrong = msgspec.structs.replace(model, input=msgspec.structs.replace(model.input, colour="rgb"))
    write_manifest(msgspec.structs.replace(manifest, models=[wrong]), tmp_path)
    with pytest.raises(ManifestError, match=r"only\.tflite: not a model that takes \(8, 8, 3\)"):
        Ensemble.load(tmp_path)
