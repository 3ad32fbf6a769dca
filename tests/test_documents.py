"""The Markdown files: links lead to files and headings, and named constants exist."""

import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from worker.folding import appearance_distance, participants, smoothing
from worker.perception import appearance, emotions, faces, readability, windows

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def documents() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("document", documents())
def test_links_lead_somewhere(document: str) -> None:
    broken = []
    for link in LINK.findall((ROOT / document).read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / document).parent / path if path else ROOT / document
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            broken.append(link)
    assert broken == []


def _anchors(document: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a Markdown file."""
    text = re.sub(r"(?ms)^```.*?^```", "", document.read_text())
    headings = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("document", "modules"),
    [
        ("tracking.md", (faces, windows, emotions, appearance, appearance_distance, participants, smoothing)),
        ("readability.md", (readability,)),
    ],
)
def test_documents_name_constants_that_exist(document: str, modules: tuple[ModuleType, ...]) -> None:
    named = set(re.findall(r"`(_?[A-Z][A-Z_]+)`", (ROOT / "docs" / document).read_text()))
    assert named
    assert sorted(name for name in named if not any(hasattr(module, name) for module in modules)) == []
