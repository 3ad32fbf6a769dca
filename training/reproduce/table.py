"""Our figures beside the study's, as a table for people and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from training.measuring.metrics import Figures
from training.provenance import PACKAGES, provenance
from training.recipe import ModelName, write_whole
from training.reproduce.study import SHOWN_WITH_FIGURES, Reported

# What decides how a fit comes out, beside what decides how its pictures are read.
_FIT_PACKAGES = ("keras", "tensorflow", "jax", "torch", "mediapipe")

_COLUMNS = (
    "network", "the study", "its loss", "where", "ours on test", "loss", "macro recall", "on validation", "epochs"
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One network: what the study reported, and ours on validation and test pictures, where there are any."""

    model: ModelName
    reported: Reported | None
    epochs: int
    validation: Figures
    test: Figures | None


@dataclass(frozen=True)
class Table:
    """The rows of a phase, how many pictures they were made and measured on, and what differs from the study."""

    phase: int
    pictures: dict[str, int]
    rows: Sequence[Row]
    differences: Sequence[str]

    def to_json(self, origin: dict[str, Any]) -> dict[str, Any]:
        """The table with where its figures come from."""
        return {**asdict(self), "note": SHOWN_WITH_FIGURES, "provenance": origin}

    def to_markdown(self, origin: dict[str, Any]) -> str:
        """The table for people."""
        counts = ", ".join(f"{count:,} for {what}" for what, count in self.pictures.items())
        state = " and changes" if origin["dirty"] else ""
        versions = ", ".join(f"{package} {number}" for package, number in origin["versions"].items())
        return "\n".join(
            [
                f"# The study's training {self.phase}, done again",
                "",
                f"{origin['date']}, commit {origin['commit'] or 'unknown'}{state}, {origin['host']} ({origin['cpu']}); "
                f"{versions}. Pictures: {counts}.",
                "",
                f"| {' | '.join(_COLUMNS)} |",
                "|---|--:|--:|---|--:|--:|--:|--:|--:|",
                *map(_line, self.rows),
                "",
                SHOWN_WITH_FIGURES,
                "",
                "What differs:",
                "",
                *(f"- {difference}" for difference in self.differences),
                "",
            ]
        )


def write_table(table: Table, run: Path) -> Path:
    """Write RUN/table.json and RUN/table.md, which is returned."""
    origin = _provenance()
    as_json = msgspec.json.format(msgspec.json.encode(table.to_json(origin)), indent=2) + b"\n"
    write_whole(run / "table.json", lambda path: path.write_bytes(as_json))
    write_whole(run / "table.md", lambda path: path.write_text(table.to_markdown(origin), encoding="utf-8"))
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


def _provenance() -> dict[str, Any]:
    """Where figures of float networks come from: there is no manifest yet, but a backend."""
    import keras

    return {**provenance(packages=(*PACKAGES, *_FIT_PACKAGES)), "backend": keras.backend.backend()}
