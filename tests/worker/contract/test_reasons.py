"""Ledger, metrics and documents use the same words for why frames fail or are dropped."""

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics import MetricWrapperBase

import producer.metrics.counters
import worker.metrics.counters
from worker.contract.reasons import DAMAGED, DROPS, FAILURES, PREFIXES, dropped, failed

ROOT = Path(__file__).parents[3]


def reasons_of(metric: Any) -> set[str]:
    assert isinstance(metric, MetricWrapperBase)
    return {sample.labels["reason"] for family in metric.collect() for sample in family.samples}


def test_the_metrics_have_the_words_of_the_ledger_from_the_start() -> None:
    assert reasons_of(worker.metrics.counters.FRAMES_FAILED) == set(FAILURES)
    assert reasons_of(worker.metrics.counters.JOB_RETRIES) == set(FAILURES)
    assert reasons_of(producer.metrics.counters.FRAMES_DROPPED) == set(DROPS)


def test_every_word_is_a_field_of_the_ledger_and_stands_in_the_documents() -> None:
    fields = [*map(failed, FAILURES), *map(dropped, DROPS), DAMAGED]
    assert len(set(fields)) == len(fields)
    assert all(field.startswith(PREFIXES) for field in fields)
    design = (ROOT / "docs/design.md").read_text()
    for word in (*FAILURES, *DROPS, DAMAGED):
        assert f"`{word}`" in design


@pytest.mark.parametrize("room", ["worker", "producer"])
def test_no_other_file_writes_a_reason_as_text(room: str) -> None:
    for path in (ROOT / room).rglob("*.py"):
        if path.name != "reasons.py":
            text = path.read_text()
            assert not re.search(r"""f?["'](dropped|failed|published):""", text), path
            for label in re.findall(r"FRAMES_(?:FAILED|DROPPED)\.labels\(\"(\w+)", text):
                assert label in (*FAILURES, *DROPS), path
