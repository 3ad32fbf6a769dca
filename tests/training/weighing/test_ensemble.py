import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from typer.testing import Result

from tests.training.command_line import refusal, training
from tests.training.drawn_faces import draw_face, write_faces
from tests.worker.perception.linear_network import SIDE, linear_network, write_linear_models
from training.conversion.forms import install, measure_forms
from training.datasets import Dataset, read_dataset
from training.measuring.evaluation import evaluate
from training.measuring.metrics import negative_log_likelihood
from training.measuring.predictions import predict_dataset
from training.weighing.ensemble import EnsembleFit, Weighing, fit_ensemble
from training.weighing.ensemble_output import ensemble_summary
from training.weighing.weights import (
    DIGITS,
    MAX_LOSS,
    fit_size_exponent,
    fit_temperature,
    fit_threshold,
    joint_weights,
    learned_weights,
    rank_weights,
)
from worker.contract.messages import EMOTIONS
from worker.perception.emotions import Ensemble, calibrate, combine, softmax
from worker.perception.manifest import MANIFEST, load_manifest, write_manifest
from worker.perception.preprocessing import network_pixels

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

OPTIMAL = 1e-6  # nats a picture

THREE = {"mobilenetv2": 1, "resnet50v2": 2, "inceptionv3": 3}


def test_rank_weights_are_those_of_the_study() -> None:
    assert rank_weights({"mobilenetv2": 0.75, "resnet50v2": 0.43, "inceptionv3": 0.80}) == pytest.approx(
        {"mobilenetv2": 2 / 6, "resnet50v2": 1 / 6, "inceptionv3": 3 / 6}
    )


def test_equally_good_models_share_their_ranks() -> None:
    assert rank_weights({"a": 0.7, "b": 0.7, "c": 0.6}) == pytest.approx({"a": 2.5 / 6, "b": 2.5 / 6, "c": 1 / 6})


@given(st.dictionaries(st.sampled_from("abcde"), st.floats(0, 1), min_size=1))
def test_rank_weights_only_depend_on_the_order_of_accuracies(accuracy: dict[str, float]) -> None:
    weights = rank_weights(accuracy)
    assert sum(weights.values()) == pytest.approx(1)
    for one in accuracy:
        for other in accuracy:
            assert (weights[one] > weights[other]) == (accuracy[one] > accuracy[other])


def mixtures(models: int = 3, pictures: int = 200) -> st.SearchStrategy[tuple[Floats, Floats]]:
    """Likelihoods [m, n] of many scales, and shares that sum to one."""

    def drawn(seed: int, sharpness: float) -> tuple[Floats, Floats]:
        random = np.random.default_rng(seed)
        likelihoods = np.exp(-sharpness * random.random((models, pictures)) ** 2)
        likelihoods[random.integers(models)] *= random.choice([1e-12, 0.5, 1.0])
        likelihoods[random.random((models, pictures)) < random.choice([0, 0.1])] = 1e-12  # certain, and wrong
        return likelihoods, random.dirichlet(np.ones(pictures))

    return st.builds(drawn, st.integers(0, 10**6), st.floats(0.01, 25))


@settings(deadline=None, max_examples=30)
@given(mixtures(), st.integers(0, 1000))
def test_no_weights_make_the_labels_likelier_than_the_learned_ones(drawn: tuple[Floats, Floats], seed: int) -> None:
    likelihoods, shares = drawn
    weights = learned_weights(likelihoods, shares)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1)

    def log_likelihood(weights: Floats) -> float:
        return float(np.log(weights @ likelihoods) @ shares)

    # The log-likelihood is concave, so that no tangent lies below it: at the corners, the tangent bounds it everywhere.
    gradient = (likelihoods / (weights @ likelihoods)) @ shares
    assert gradient.max() <= 1 + OPTIMAL
    for other in [*np.eye(3), *np.random.default_rng(seed).dirichlet(np.ones(3), 50)]:
        assert log_likelihood(other) <= log_likelihood(weights) + OPTIMAL


def test_learned_weights_are_those_of_the_mixture_that_the_labels_were_drawn_from() -> None:
    random = np.random.default_rng(1)
    opinions = random.dirichlet(np.ones(7) * 0.5, (3, 20_000))
    drawn_from = random.choice(3, p=[0.6, 0.4, 0.0], size=20_000)
    pictures = np.arange(20_000)
    truth = (opinions[drawn_from, pictures].cumsum(axis=1) > random.random((20_000, 1))).argmax(axis=1)
    likelihoods = opinions[:, pictures, truth]
    learned = learned_weights(np.maximum(likelihoods, 1e-12), np.full(20_000, 1 / 20_000))
    assert learned == pytest.approx([0.6, 0.4, 0.0], abs=0.03)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), st.floats(0.3, 3.0))
def test_joint_weights_are_a_maximum_and_not_worse_than_equal_weights(seed: int, distortion: float) -> None:
    random = np.random.default_rng(seed)
    n, labels = 200, np.repeat(np.arange(7), 200)[random.permutation(1400)[:200]]
    skill = random.uniform(0, 3, 3)
    logits = random.normal(0, 1.5, (3, n, 7)) + skill[:, None, None] * np.eye(7)[labels]
    predicted = np.stack([softmax((distortion * one).astype(np.float32)) for one in logits])
    shares = np.full(n, 1 / n)

    def nll(weights: Floats) -> float:
        mixed = combine(dict(zip("abc", predicted, strict=True)), dict(zip("abc", weights.tolist(), strict=True)))
        return negative_log_likelihood(calibrate(mixed, fit_temperature(mixed, labels)), labels)

    even = combine(dict(zip("abc", predicted, strict=True)), dict.fromkeys("abc", 1.0))
    weights = joint_weights(predicted.astype(float), labels, shares, fit_temperature(even, labels))

    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1)
    assert nll(weights) <= nll(np.full(3, 1 / 3)) + 1e-5
    for other in np.random.default_rng(seed).dirichlet(np.ones(3), 6):
        assert nll(weights) <= nll(0.98 * weights + 0.02 * other) + 1e-5


def cascades() -> st.SearchStrategy[tuple[npt.NDArray[np.float32], Bools, Bools, Floats]]:
    """The first model's confidence (few values, many ties), whether it and the full ensemble are right, and shares."""

    def drawn(seed: int, n: int, values: int) -> tuple[npt.NDArray[np.float32], Bools, Bools, Floats]:
        random = np.random.default_rng(seed)
        confidence = (random.integers(1, values + 1, n) / values).astype(np.float32)
        first = random.random(n) < confidence
        full = np.where(random.random(n) < 0.7, first, random.random(n) < 0.8)
        return confidence, first, full, random.dirichlet(np.ones(n))

    return st.builds(drawn, st.integers(0, 10**6), st.integers(1, 3000), st.integers(1, 3000))


@settings(deadline=None)
@given(cascades(), st.floats(0, 0.05))
def test_neither_the_threshold_nor_a_higher_one_loses_more_than_allowed(
    drawn: tuple[npt.NDArray[np.float32], Bools, Bools, Floats], max_loss: float
) -> None:
    confidence, first, full, shares = drawn
    threshold = fit_threshold(confidence, first, full, shares, max_loss)
    assert 0 <= threshold <= 1
    assert round(threshold, DIGITS) == threshold
    assume(threshold < 1)
    for higher in np.unique(confidence[confidence >= threshold]):
        sure = confidence >= higher
        assert ((full.astype(float) - first) * shares)[sure].sum() <= max_loss + 1e-9


def test_a_first_model_that_is_never_worse_answers_alone_everywhere() -> None:
    confidence = np.linspace(0.2, 0.9, 1000, dtype=np.float32)
    right = np.arange(1000) % 3 > 0
    threshold = fit_threshold(confidence, right, right, np.full(1000, 1e-3))
    assert (confidence >= np.float32(threshold)).mean() > 0.99


def test_a_first_model_that_is_worse_at_every_confidence_never_answers_alone() -> None:
    confidence = np.linspace(0.2, 0.9, 1000, dtype=np.float32)
    wrong, right = np.zeros(1000, bool), np.ones(1000, bool)
    threshold = fit_threshold(confidence, wrong, right, np.full(1000, 1e-3))
    assert (confidence >= np.float32(threshold)).mean() <= MAX_LOSS


def test_a_threshold_leaves_a_margin_for_chance() -> None:
    # Of the second thousand half are lost and half are won. The expected loss is 0.
    confidence = np.linspace(1.0, 0.2, 2000, dtype=np.float32)
    first = np.array([True] * 1000 + [True, False] * 500)
    full = np.array([True] * 1000 + [False, True] * 500)
    decided = (confidence >= np.float32(fit_threshold(confidence, first, full, np.full(2000, 1 / 2000)))).sum()
    assert 1000 < decided < 1100  # after about 36, sqrt(lost and won) / 2000 exceeds MAX_LOSS


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three linear networks in `models`, each fitted to other drawn faces, and pictures to validate and test them."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "models").mkdir()
    manifest = write_linear_models(folder / "models", THREE, temperature=1.5)
    fitted = []
    for model, each in zip(manifest.models, (16, 12, 40), strict=True):
        content = linear_network(*fitted_to_drawn_faces(each, first_seed=1000 * each))
        (folder / "models" / model.file).write_bytes(content)
        fitted.append(msgspec.structs.replace(model, sha256=hashlib.sha256(content).hexdigest()))
    write_manifest(msgspec.structs.replace(manifest, models=fitted), folder / "models")
    write_faces(folder / "validation", each=20, first_seed=1)
    write_faces(folder / "test", each=3, first_seed=50)
    return folder


@pytest.fixture
def models(made: Path, tmp_path: Path) -> Path:
    """A copy of the networks that a test may change."""
    return Path(shutil.copytree(made / "models", tmp_path / "models"))


@pytest.fixture
def validation(made: Path) -> Dataset:
    return read_dataset(made / "validation")


@pytest.fixture
def test_set(made: Path) -> Dataset:
    return read_dataset(made / "test")


@pytest.fixture(scope="module")
def weighed(made: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EnsembleFit]:
    """The networks after `fit_ensemble`, which no test changes, and its result."""
    models = Path(shutil.copytree(made / "models", tmp_path_factory.mktemp("weighed") / "models"))
    return models, fit_ensemble(models, [read_dataset(made / "validation")], [read_dataset(made / "test")])


def fitted_to_drawn_faces(each: int, first_seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Kernel and bias by ridge regression; the network is right more often than not."""
    labels = np.repeat(np.arange(7), each)
    faces = [draw_face(EMOTIONS[label], first_seed + i) for i, label in enumerate(labels)]
    pixels = np.stack([(network_pixels(face, SIDE, "grey").ravel() - 127.5) / 127.5 for face in faces])
    given = np.hstack([pixels, np.ones((len(pixels), 1))])
    solved = np.linalg.solve(given.T @ given + 0.3 * np.eye(given.shape[1]), given.T @ np.eye(7)[labels])
    return (6 * solved[:-1].T).astype(np.float32), (6 * solved[-1]).astype(np.float32)


def weights_of(fit: EnsembleFit) -> dict[str, float]:
    return {model.name: model.weight for model in fit.manifest.models}


def test_the_likeliest_weighing_goes_into_the_manifest(weighed: tuple[Path, EnsembleFit]) -> None:
    models, fit = weighed
    assert list(fit.weighings) == ["uniform", "rank", "learned", "joint"]
    assert fit.weighings[fit.chosen].nll == min(weighing.nll for weighing in fit.weighings.values())
    assert fit.manifest == load_manifest(models)
    assert weights_of(fit) == fit.weighings[fit.chosen].weights
    assert fit.manifest.temperature == fit.weighings[fit.chosen].temperature
    entry = fit.manifest.ensemble
    assert (entry["method"], entry["n"]) == (fit.chosen, [140])
    assert entry["validation"][0].endswith("validation")
    assert not Path(entry["validation"][0]).is_absolute()


def test_the_metrics_are_those_of_the_models_as_written(
    weighed: tuple[Path, EnsembleFit], validation: Dataset, test_set: Dataset
) -> None:
    models, fit = weighed
    for dataset, measured in zip(
        (validation, test_set), [*fit.measured["validation"], *fit.measured["test"]], strict=True
    ):
        again = evaluate(Ensemble.load(models), dataset)
        assert measured.metrics[fit.chosen] == again.metrics["ensemble"]
        assert (measured.adaptive, measured.escalated) == (again.adaptive, again.escalated)
        for name in THREE:
            assert measured.metrics[name].confusion == again.metrics[name].confusion
    entry = fit.manifest.ensemble["figures"]
    assert entry["nll"] == pytest.approx(fit.weighings[fit.chosen].nll)
    assert entry["accuracy"] == pytest.approx(fit.measured["validation"][0].metrics[fit.chosen].accuracy)


def test_every_weighing_has_its_best_temperature(weighed: tuple[Path, EnsembleFit], validation: Dataset) -> None:
    models, fit = weighed
    predictions, _ = predict_dataset(Ensemble.load(models), validation)
    labels = np.array([picture.label for picture in validation.pictures])

    def nll(weighing: Weighing) -> float:
        return -float(np.log(weighing.scores(predictions)[np.arange(len(labels)), labels]).mean())

    for weighing in fit.weighings.values():
        for factor in (0.95, 1.05):
            assert nll(weighing) < nll(replace(weighing, temperature=weighing.temperature * factor))


def test_the_adaptive_ensemble_of_the_manifest_reaches_its_figures(
    weighed: tuple[Path, EnsembleFit], validation: Dataset
) -> None:
    models, fit = weighed
    adaptive = fit.manifest.adaptive
    assert adaptive is not None
    assert adaptive.first == "mobilenetv2"

    full, labels = predict_dataset(Ensemble.load(models), validation)
    served, _ = predict_dataset(Ensemble.load(models, mode="adaptive"), validation)

    figures = adaptive.figures
    assert 0.1 < figures["escalated"] < 0.9
    assert figures["escalated"] == pytest.approx(served.escalated.mean())
    assert figures["accuracy"] == pytest.approx((served.scores.argmax(axis=1) == labels).mean())
    assert figures["full_accuracy"] == pytest.approx((full.scores.argmax(axis=1) == labels).mean())
    assert figures["loss"] == pytest.approx(figures["full_accuracy"] - figures["accuracy"])
    assert figures["loss"] <= MAX_LOSS
    assert figures["ms_per_face"] > 0
    assert figures["full_ms_per_face"] > 0


def test_a_validation_set_counts_once_however_many_pictures_it_has(
    tmp_path: Path, models: Path, validation: Dataset, test_set: Dataset
) -> None:
    small = fit_ensemble(models, [validation, test_set])
    thrice = Dataset("thrice", [picture for picture in validation.pictures for _ in range(3)])
    large = fit_ensemble(models, [thrice, test_set])
    assert large.chosen == small.chosen
    for name, weighing in small.weighings.items():
        assert large.weighings[name].weights == pytest.approx(weighing.weights, abs=2e-4)
        assert large.weighings[name].temperature == pytest.approx(weighing.temperature, abs=1e-3)
        assert large.weighings[name].nll == pytest.approx(weighing.nll, abs=1e-4)


def test_a_single_model_has_weight_one_and_no_threshold(tmp_path: Path, validation: Dataset) -> None:
    write_linear_models(tmp_path, {"mobilenetv2": 1})
    fit = fit_ensemble(tmp_path, [validation])
    assert weights_of(fit) == {"mobilenetv2": 1.0}
    assert fit.chosen == "uniform"
    assert fit.manifest.adaptive is None
    assert "no adaptive ensemble" in ensemble_summary(fit)


def test_networks_without_the_first_model_get_no_threshold(tmp_path: Path, validation: Dataset) -> None:
    write_linear_models(tmp_path, {"resnet50v2": 2, "inceptionv3": 3})
    assert fit_ensemble(tmp_path, [validation]).manifest.adaptive is None


@pytest.mark.parametrize(("true", "sides"), [(0.5, (48, 100)), (0.0, (48, 100)), (0.5, (100, 100))])
def test_the_exponent_of_small_faces_is_the_one_that_their_labels_were_drawn_with(
    true: float, sides: tuple[int, int]
) -> None:
    random = np.random.default_rng(5)
    probabilities = random.dirichlet(np.full(7, 0.3), 6000).astype(np.float32)
    smallness = 100 / random.choice(sides, 6000)
    honest = calibrate(probabilities, 0.8 * smallness**true)
    labels = (honest.cumsum(axis=1) > random.random((6000, 1))).argmax(axis=1)
    found = fit_size_exponent(probabilities, labels, smallness, np.full(6000, 1 / 6000))
    assert found == (pytest.approx(true, abs=0.1) if true and sides[0] != sides[1] else 0.0)


def test_the_cascade_asks_the_heavier_network_second_and_is_the_default_if_no_set_loses(
    tmp_path: Path, models: Path, validation: Dataset
) -> None:
    other = read_dataset(write_faces(tmp_path / "other", each=10, first_seed=31))
    fit = fit_ensemble(models, [validation, other])
    adaptive = fit.manifest.adaptive
    assert adaptive is not None
    weights = {model.name: model.weight for model in fit.manifest.models}
    weights.pop("mobilenetv2")
    if adaptive.second is not None:
        assert weights[adaptive.second.model] == max(weights.values())
        assert min(weights.values()) > 0
    for dataset, lost in zip((validation, other), adaptive.figures["loss_of_sets"], strict=True):
        full, labels = predict_dataset(Ensemble.load(models), dataset)
        served, _ = predict_dataset(Ensemble.load(models, mode="adaptive"), dataset)
        right = [(one.scores.argmax(axis=1) == labels).mean() for one in (full, served)]
        assert lost == pytest.approx(right[0] - right[1])
    assert adaptive.default == (max(adaptive.figures["loss_of_sets"]) <= MAX_LOSS)
    assert load_manifest(models).default_mode == ("adaptive" if adaptive.default else "full")


def test_replacing_a_network_drops_the_weights_and_the_threshold_fitted_to_it(
    tmp_path: Path, models: Path, validation: Dataset
) -> None:
    assert fit_ensemble(models, [validation], manual={**dict.fromkeys(THREE, 0.0), "resnet50v2": 1}).manifest.adaptive
    work = tmp_path / "work"
    work.mkdir()
    first, second = write_linear_models(work, {"float32": 7, "int8": 8}).models
    forms = [first, msgspec.structs.replace(second, quantization="int8")]

    install("resnet50v2", forms[1], work, models, validation, measure_forms(forms, work, validation))

    manifest = load_manifest(models)
    assert {model.name: model.weight for model in manifest.models} == dict.fromkeys(THREE, 1.0)
    assert (manifest.ensemble, manifest.adaptive) == ({}, None)


def ensemble(*arguments: str | Path) -> Result:
    return training("ensemble", *arguments)


def test_json_has_a_line_for_each_dataset_and_one_for_the_choice(
    models: Path, validation: Dataset, test_set: Dataset
) -> None:
    run = ensemble(test_set.name, "--validation", validation.name, "--models", models, "--json")
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert [(line.get("role"), line.get("n")) for line in lines] == [("validation", 140), ("test", 21), (None, None)]
    assert set(lines[0]["figures"]) == {*THREE, "uniform", "rank", "learned", "joint", "adaptive"}
    assert set(lines[0]["figures"]["rank"]) == {"accuracy", "macro_recall", "recall", "ece", "nll", "confusion"}
    assert lines[2]["chosen"] in lines[2]["weighings"]
    assert lines[2]["adaptive"]["first"] == "mobilenetv2"
    digest = load_manifest(models).digest
    assert all(line["provenance"]["manifest"] == digest for line in lines)


def test_weights_given_by_hand_are_compared_with_the_others(
    models: Path, validation: Dataset, test_set: Dataset
) -> None:
    arguments = (test_set.name, "--validation", validation.name, "--models", models)
    assert "manual" not in ensemble(*arguments).stdout
    shown = ensemble(*arguments, "--manual", "mobilenetv2=2,resnet50v2=0,inceptionv3=6").stdout
    (row,) = [line for line in shown.splitlines() if "manual" in line and "0.7500" in line]
    assert all(weight in row for weight in ("0.2500", "0.0000", "0.7500"))


def corrupt(models: Path) -> None:
    (models / "resnet50v2.tflite").write_bytes(b"")


def of_another_version(models: Path) -> None:
    written = json.loads((models / MANIFEST).read_text())
    (models / MANIFEST).write_text(json.dumps({**written, "version": 2}))


@pytest.mark.parametrize(
    ("options", "spoil", "complaint"),
    [
        (["--manual", "mobilenetv2=1"], None, "--manual weighs ['mobilenetv2'], but the models are"),
        (["--manual", "mobilenetv2=1,resnet50v2=1,inception=1"], None, "give each one a weight"),
        (["--manual", "mobilenetv2=0,resnet50v2=0,inceptionv3=0"], None, "one above 0"),
        (["--manual", "mobilenetv2=-1,resnet50v2=1,inceptionv3=1"], None, "a number from 0 up"),
        (["--manual", "mobilenetv2=nan,resnet50v2=1,inceptionv3=1"], None, "a number from 0 up"),
        (["--manual", "mobilenetv2"], None, "'mobilenetv2' is not NAME=WEIGHT"),
        ([], corrupt, "resnet50v2.tflite: sha256"),
        ([], of_another_version, "version 2"),
        ([], shutil.rmtree, "manifest.json"),
    ],
)
def test_models_that_cannot_be_weighed_are_one_line_and_the_manifest_is_unchanged(
    models: Path,
    validation: Dataset,
    test_set: Dataset,
    options: list[str],
    spoil: Callable[[Path], None] | None,
    complaint: str,
) -> None:
    if spoil is not None:
        spoil(models)
    manifest = models / MANIFEST
    before = manifest.read_bytes() if manifest.exists() else None
    refused = refusal("ensemble", test_set.name, "--validation", validation.name, "--models", models, *options)
    assert complaint in refused
    assert (manifest.read_bytes() if manifest.exists() else None) == before


def test_with_an_unreadable_test_set_the_manifest_is_unchanged(
    tmp_path: Path, models: Path, validation: Dataset
) -> None:
    before = (models / MANIFEST).read_bytes()
    (tmp_path / "broken" / "happy").mkdir(parents=True)
    (tmp_path / "broken" / "happy" / "a.png").write_text("not a picture")
    refused = refusal("ensemble", tmp_path / "broken", "--validation", validation.name, "--models", models)
    assert "1 unreadable" in refused
    assert (models / MANIFEST).read_bytes() == before
