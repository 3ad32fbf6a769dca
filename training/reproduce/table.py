"""Our results beside the study's, as Markdown and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.measuring.metrics import Metrics
from training.provenance import PACKAGES, provenance
from training.recipe import ModelName
from training.reproduce.study import NOTE, Reported
from training.whole_file import write_json, write_whole

# The packages that decide the result of a fit, beside those of provenance.PACKAGES.
_FIT_PACKAGES = ("keras", "tensorflow", "jax", "torch", "mediapipe")

_COLUMNS = (
    "network", "the study", "its loss", "where", "ours on test", "loss", "macro recall", "on validation", "epochs"
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One network: the study's result, if it reports one, and our metrics on validation and test pictures."""

    model: ModelName
    reported: Reported | None
    epochs: int
    validation: Metrics
    test: Metrics | None


def write_table(
    run: Path, phase: int, pictures: dict[str, int], rows: Sequence[Row], differences: Sequence[str]
) -> Path:
    """Write RUN/table.json and RUN/table.md, which is returned.

    `pictures` is the number of pictures of each split, and `differences` are those from the study, as sentences.
    """
    import keras

    # Networks before quantization have no manifest, but a backend.
    origin = {**provenance(packages=(*PACKAGES, *_FIT_PACKAGES)), "backend": keras.backend.backend()}
    content = {"phase": phase, "pictures": pictures, "rows": rows, "differences": differences}
    write_json(run / "table.json", {**content, "note": NOTE, "provenance": origin})
    counts = ", ".join(f"{count:,} for {split}" for split, count in pictures.items())
    state = " and changes" if origin["dirty"] else ""
    versions = ", ".join(f"{package} {number}" for package, number in origin["versions"].items())
    lines = [
        f"# The study's training {phase}, done again",
        "",
        f"{origin['date']}, commit {origin['commit'] or 'unknown'}{state}, {origin['host']} ({origin['cpu']}); "
        f"{versions}. Pictures: {counts}.",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        "|---|--:|--:|---|--:|--:|--:|--:|--:|",
        *map(_line, rows),
        "",
        NOTE,
        "",
        "What differs:",
        "",
        *(f"- {difference}" for difference in differences),
        "",
    ]
    write_whole(run / "table.md", lambda path: path.write_text("\n".join(lines), encoding="utf-8"))
    return run / "table.md"


def _line(row: Row) -> str:
    reported, test = row.reported, row.test
    cells = [
        row.model,
        f"{reported.accuracy:.2%}" if reported else "-",
        f"{reported.loss:.2f}" if reported and reported.loss else "-",
        reported.where if reported else "-",
        f"{test.accuracy:.2%}" if test else "-",
        f"{test.nll:.2f}" if test else "-",
        f"{test.macro_recall:.2%}" if test else "-",
        f"{row.validation.accuracy:.2%}",
        str(row.epochs),
    ]
    return f"| {' | '.join(cells)} |"
