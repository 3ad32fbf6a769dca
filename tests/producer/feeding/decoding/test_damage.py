"""Which pictures of a video are damaged."""

import pytest

from producer.feeding.decoding.damage import Damage

STEP = 0.04


def marks(
    pictures: str, *, lost: tuple[float, ...] = (), fed: bool = True, corrupt: tuple[int, ...] = ()
) -> tuple[str, list[float]]:
    """The marks of pictures at regular times, and the times from which one stands in for lost ones.

    `pictures` has K for a key frame, P for another picture, and a space for a packet whose picture never comes.
    """
    damage = Damage()
    for number in range(len(pictures)):
        if fed:
            damage.fed(number * STEP)
    for each in lost:
        damage.at(each * STEP)
    found, instead = "", []
    for number, kind in enumerate(pictures):
        if kind == " ":
            found += " "
            continue
        since, damaged = damage.displayed(number * STEP, kind == "K", number in corrupt, STEP)
        found += "#" if damaged else "."
        instead += [] if since is None else [round(since / STEP, 3)]
    return found, instead


def test_damage_lasts_until_the_next_key_frame() -> None:
    assert marks("KPPPPKPPP") == (".........", [])
    assert marks("KPPPPKPPP", corrupt=(2,)) == ("..###....", [])
    assert marks("KPPPPKPPP", lost=(2,)) == ("..###....", [])
    assert marks("KPPPPKPPP", lost=(5,)) == (".....####", [])
    assert marks("KPPPPKPPP", corrupt=(5,)) == (".....####", [])
    assert marks("KKKKKK", corrupt=(2, 4)) == ("..#.#.", [])


def test_the_picture_before_lost_ones_stands_in_for_them() -> None:
    assert marks("KPP  PPKP") == ("...  ##..", [3])
    assert marks("KPP  PPKP", lost=(3, 4)) == ("...  ##..", [3])
    assert marks("KPPP   K ", lost=(5,), fed=False) == ("....   . ", [5])


def test_a_packet_without_a_picture_is_normal_if_it_leaves_no_hole() -> None:
    damage = Damage()
    found = []
    for number in range(20):
        damage.fed(number * STEP)
        damage.fed(number * STEP + 0.015)  # the second half of a picture, or a picture that is never displayed
        found.append(damage.displayed(number * STEP, number == 0, corrupt=False, usual=STEP))
    assert found == [(None, False)] * 20
    assert marks("KP    PPPK", fed=False) == ("..    ....", []), "nothing was stored for this time"


def test_damage_at_an_unknown_time_begins_at_once() -> None:
    damage = Damage()
    damage.at(None)
    assert [damage.displayed(n * STEP, n == 2, corrupt=False, usual=0.0) for n in range(4)] == [
        (None, True), (None, True), (None, False), (None, False),
    ]  # fmt: skip


@pytest.mark.parametrize(("after", "lost"), [(0.0, False), (0.04, True), (5.0, True)])
def test_pictures_may_be_lost_at_the_end(after: float, lost: bool) -> None:
    damage = Damage()
    damage.fed(1.0)
    damage.fed(1.0 + after)
    damage.displayed(1.0, key=True, corrupt=False, usual=STEP)
    assert damage.lost_at_the_end is lost
