"""Annotations for ELAN (EAF 2.8): a tier for each participant, for the class, for moments and for chapters."""

import re
from collections.abc import Iterable
from typing import IO
from xml.etree import ElementTree  # only writes  # nosec B405

from producer.reading.formats.annotations import Annotation, Tier

# Characters that XML 1.0 does not allow.
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

SHORTEST_MS = 1
"""ELAN refuses an annotation without a length."""


def write_eaf(tiers: Iterable[Tier], file: IO[bytes]) -> None:
    """Write the tiers, which must have different names, in their order.

    The annotations of one tier of ELAN never overlap. So the annotations that do go to further tiers, numbered from 2.
    """
    from pympi.Elan import Eaf, to_adocument  # late: only ELAN needs it

    document = Eaf(author="LecturePulse")
    document.remove_tier("default")
    document.header = {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"}
    for tier in tiers:
        for number, apart in enumerate(_without_overlaps(tier.annotations) or [[]], 1):
            name = _xml(f"{tier.name} {number}" if number > 1 else tier.name)
            document.add_tier(name, part=tier.participant and _xml(tier.participant))
            for start, end, text in apart:
                document.add_annotation(name, start, end, _xml(text))
    root = to_adocument(document)
    order = root.find("TIME_ORDER")
    order[:] = sorted(order, key=lambda slot: int(slot.get("TIME_VALUE")))  # pympi sorts them by their ids
    ElementTree.ElementTree(root).write(file, encoding="UTF-8", xml_declaration=True)


def _xml(text: str) -> str:
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _without_overlaps(annotations: Iterable[Annotation]) -> list[list[tuple[int, int, str]]]:
    """The annotations as (start, end, text) in milliseconds, in as few lists without overlaps as possible."""
    lists: list[list[tuple[int, int, str]]] = []
    for annotation in sorted(annotations, key=lambda each: each.start):
        start = round(1000 * annotation.start)
        made = (start, max(round(1000 * annotation.end), start + SHORTEST_MS), annotation.text)
        free = next((each for each in lists if each[-1][1] <= start), None)
        if free is None:
            lists.append([made])
        else:
            free.append(made)
    return lists
