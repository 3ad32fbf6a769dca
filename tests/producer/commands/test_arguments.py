"""Times that an operator writes on the command line."""

import time
from datetime import datetime, timedelta, timezone
from datetime import time as datetime_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.commands.arguments import duration, moment


@given(st.times())
def test_a_time_of_day_is_the_next_such_time(of_day: datetime_time) -> None:
    for text in (f"{of_day.hour}:{of_day.minute:02}:{of_day.second:02}", f"{of_day.hour:02}:{of_day.minute:02}"):
        before, found = datetime.now(), datetime.fromtimestamp(moment(text))
        named = found.replace(hour=of_day.hour, minute=of_day.minute)
        assert found == datetime.fromtimestamp(named.timestamp())  # at the start of summer time some times do not exist
        assert timedelta(0) <= found - before <= timedelta(hours=26)  # a day of 25 h


@given(st.floats(60, 1e8))
def test_an_iso_time_is_that_moment_in_any_zone(ahead: float) -> None:
    then = datetime.fromtimestamp(int(time.time() + ahead)).astimezone()
    utc = then.astimezone(timezone.utc).isoformat()
    assert moment(utc) == moment(then.isoformat()) == then.timestamp()


def test_z_is_utc() -> None:
    assert moment("2999-01-01T00:00:00Z") == moment("2999-01-01T01:00:00+01:00")


@pytest.mark.parametrize("text", ["", "25:00", "10:60", "soon", "12", "2026-13-01T00:00"])
def test_anything_else_is_refused_with_the_value_and_the_form(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time: write one of the day like 16:30, or 20"):
        moment(text)


def test_a_moment_that_is_over_and_no_time_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'2020-01-01T10:00' is over; give a time to come"):
        moment("2020-01-01T10:00")
    with pytest.raises(ValueError, match="is not long enough; give more than 0 s"):
        duration("0:00")
    assert duration("1:30:00") == 5400
