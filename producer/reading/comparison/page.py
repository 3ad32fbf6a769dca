"""The comparison as HTML: fills the template with words, the chart and tables. The page has no scripts."""

from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from producer.presentation.caution import CAUTION
from producer.presentation.clock import date
from producer.presentation.web import policy, shared_style
from producer.reading.comparison import tables, words
from producer.reading.comparison.lectures import Compared, Pair


def page(
    lectures: Sequence[Compared], whole: Sequence[Pair], chapters: Sequence[Pair], course: str | None, made: datetime
) -> str:
    """The whole page, which needs no other file."""
    environment = Environment(
        loader=PackageLoader("producer.reading.comparison", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    report_style = (files("producer.reading.report") / "report.css").read_text(encoding="utf-8")
    own_style = (files("producer.reading.comparison") / "comparison.css").read_text(encoding="utf-8")
    style = shared_style() + report_style + own_style
    return environment.get_template("comparison.html.jinja").render(
        title=f"Course {course}" if course else " and ".join(each.id for each in lectures[:2]),
        more=f"and {len(lectures) - 2} more" if not course and len(lectures) > 2 else "",
        count=len(lectures),
        first=lectures[0].id,
        warnings=words.warnings(lectures),
        sentences=[words.sentence(each) for each in whole],
        panels=tables.panels(lectures),
        emotions=tables.SHOWN,
        lectures=tables.lecture_rows(lectures),
        differences=tables.difference_rows(whole),
        chapters=tables.chapter_parts(chapters),
        chapter_differences=tables.difference_rows(chapters),
        method=words.METHOD,
        caution=CAUTION,
        made=date(made.timestamp()),
        style=Markup(style),  # files of ours  # nosec B704
        policy=policy([], style),
    )
