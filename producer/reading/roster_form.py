"""A roster to fill in: the participants of a lecture, each with the times and the place where they were seen."""

from producer.presentation.clock import clock
from producer.reading.analysis.names import RosterRefused, natural_order
from producer.reading.analysis.places import PlacesBuilder
from producer.reading.follow import replay
from producer.reading.lectures import Store, participants, read_lecture

HEAD = """\
# The participants of lecture {lecture}. Write names between the quotes, then give this file as --roster.
# A participant without a name keeps their id. Names are for display; nothing of this file goes to Redis.
# To leave somebody out of the class's figures, write this instead of the quotes:
# {{name: "Alice", role: lecturer}} or {{name: "Alice", exclude: true}}
# `tile` is an estimate: x, y, width, height in pixels of the recording, which has {width} by {height}.
participants:
"""


def roster_form(store: Store, lecture: str) -> str:
    """The YAML of a roster without names. LectureUnknown; RosterRefused if the lecture has no participants."""
    found = read_lecture(store, lecture)
    spans = participants(store, lecture)
    if not spans:
        why = "it was ingested with --class-only" if found.info.class_only else "nobody was seen in it"
        raise RosterRefused(f"lecture {lecture} has no participants to name: {why}")
    places = PlacesBuilder(found.info.width, found.info.height, found.info.source)
    for event in replay(store, lecture):
        places.add(event)
    where = places.places()
    form = HEAD.format(lecture=lecture, width=found.info.width, height=found.info.height)
    for participant in sorted(spans, key=natural_order):
        span = spans[participant]
        share = f"{min(span.frames / max(found.ledger.published, 1), 1):.0%} of the frames"
        form += f'  {participant}: ""  # {clock(span.first)} to {clock(span.last)}, {share}'
        if participant in where:
            tile, words = where[participant]
            form += f", {words}, tile: [{', '.join(f'{each:.0f}' for each in tile)}]"
        form += "\n"
    return form
