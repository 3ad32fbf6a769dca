"""Webhooks: signed, sent again until they are taken, each moment once, and never in the way of the lecture."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from producer.notifying import notifier, sending
from producer.notifying.notifier import ENDED, MOMENT, Notifier
from producer.notifying.sending import Sender
from producer.notifying.webhook import Webhook, checked_webhook
from producer.reading.analysis.moments import moments
from producer.stopping import Stop
from tests.processes import called, eventually, started
from tests.producer.committing import committing
from tests.producer.feeding.films import film
from tests.producer.notifying.receiver import DRIP, DROP, HANG, KEY, SECRET, Receiver, receiving
from tests.producer.reading.simulated import Episode, Script, events, played, simulated_timeline
from tests.producer.serving.server import serving
from tests.streams import free_port
from worker.contract.messages import EndEvent, Ledger

LECTURE = Script(9, 900, episodes=[Episode(300, 420, ("happiness",)), Episode(600, 720, ("anger", "sadness"))])
END = EndEvent("l", "done", None, Ledger(sampled=1800, published=1800))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "FIRST_PAUSE_S", 0.01)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def hook(receiver: Receiver) -> Webhook:
    return checked_webhook(receiver.url, SECRET)


def test_the_signature_is_that_of_the_standard_s_own_library() -> None:
    # Made with standardwebhooks 1.1.0.
    secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"
    headers = checked_webhook("https://h/", secret).headers("msg_1", 1614265330, b'{"test": 2432232314}')
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", "1614265330")
    assert headers["webhook-signature"] == "v1,daJC9zjteVUEcGf6sESvuljSVDEsnQ3shawBrSwYgzU="


def test_a_message_is_sent_again_with_its_id_until_it_is_taken() -> None:
    with receiving(500, 302, DROP, 404) as receiver:
        sender = Sender(hook(receiver))
        sender.send("a", {"n": 1})
        assert sender.flush(60)
        assert (len(receiver.seen), len(set(receiver.seen))) == (5, 1)
        assert (receiver.of("a"), sender.trouble) == ([{"n": 1}], None)
        sender.close()


def test_a_receiver_that_comes_later_gets_everything_and_one_that_is_gone_no_more() -> None:
    port = free_port()
    sender = Sender(Webhook(f"http://127.0.0.1:{port}/", KEY))
    sender.send("a", {"n": 1})
    sender.send("a", {"n": 2})
    eventually(lambda: sender.trouble is not None)
    with receiving(port=port) as receiver:
        assert sender.flush(60)
        assert sorted(each["n"] for each in receiver.of("a")) == [1, 2]
        receiver.statuses = [410]
        sender.send("a", {"n": 3})
        assert sender.flush(60)
        sender.send("a", {"n": 4})
        assert sender.flush(60)
        assert (len(receiver.taken), sender.gone) == (2, True)
    sender.close()


@pytest.mark.parametrize("secure", [False, True])
def test_a_receiver_that_answers_byte_by_byte_does_not_hold_the_messages_up(
    secure: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setattr(sending, "ANSWER_S", 0.5)
    with receiving(DRIP, authority=authority if secure else None) as receiver:
        sender = Sender(hook(receiver))
        sender.send("a", {"n": 1})
        assert sender.flush(60)
        assert len(receiver.seen) > 1  # two, or more on a machine that is too busy to answer in time
        assert receiver.of("a")[0] == {"n": 1}
        sender.close()


def test_the_receiver_s_certificate_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    with receiving(authority=authority) as receiver:
        stranger = Sender(hook(receiver))
        stranger.send("a", {})
        eventually(lambda: "certificate verify failed" in (stranger.trouble or ""))
        stranger.close()
        eventually(lambda: not stranger._sending)  # on a busy machine, another attempt may have begun
        assert receiver.seen == []
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        sender = Sender(hook(receiver))
        sender.send("a", {"n": 1})
        assert sender.flush(60)
        assert receiver.of("a") == [{"n": 1}]
        sender.close()


def test_each_moment_is_sent_once_while_the_lecture_runs_and_all_at_its_end(receiver: Receiver) -> None:
    with Notifier(hook(receiver), LECTURE.fps, Stop()) as notifier:
        for n, event in enumerate(events(played(LECTURE, 2))):
            notifier.add(event)
            if n % 100 == 0:  # as slowly as a live lecture, of which every search sees a little more
                eventually(lambda: notifier._events.empty())
        notifier.add(END)
    (ended,) = receiver.of(ENDED)
    assert (ended["lecture"], ended["status"], ended["reason"], ended["ledger"]["published"]) == (
        "l",
        "done",
        None,
        1800,
    )
    found = moments(simulated_timeline(LECTURE, 2))
    assert [(each["kind"], each["from"], each["words"]) for each in ended["moments"]] == [
        (each.kind, each.begin, each.in_words) for each in found
    ]
    running = [each["moment"] for each in receiver.of(MOMENT)]
    stretches = [each for each in running if each["kind"] == "stretch"]
    assert [abs(each["from"] - begin) < 15 for each, begin in zip(stretches, (300, 600), strict=True)] == [True, True]


def test_a_resumed_lecture_does_not_send_what_it_sent_before(receiver: Receiver) -> None:
    with Notifier(hook(receiver), LECTURE.fps, Stop(), known_s=500.0) as notifier:
        for event in events(played(LECTURE, 2)):
            notifier.add(event)
        eventually(lambda: receiver.of(MOMENT))
        notifier.add(END)
    assert all(each["moment"]["to"] > 500 for each in receiver.of(MOMENT))
    assert len(receiver.of(ENDED)[0]["moments"]) >= 2


def test_a_receiver_that_never_answers_delays_the_end_only_for_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notifier, "LAST_S", 0.5)
    monkeypatch.setattr(notifier, "SAY_AFTER_S", -1.0)
    with receiving(HANG) as receiver, Notifier(hook(receiver), 2.0, Stop()) as notifying:
        notifying.add(END)
        eventually(lambda: receiver.seen)
    waiting, lost = capsys.readouterr().err.splitlines()
    assert "waiting until it takes the last messages" in waiting
    assert "it does not answer; the last messages were not taken" in lost
    assert "geheim" not in waiting + lost


def test_a_search_that_takes_too_long_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], receiver: Receiver
) -> None:
    waited = threading.Event()
    monkeypatch.setattr(notifier, "LAST_S", 0.5)
    monkeypatch.setattr(Notifier, "_found", lambda *_, **__: waited.wait() and [])
    with Notifier(hook(receiver), 2.0, Stop()) as notifying:
        notifying.add(END)
    waited.set()
    (lost,) = capsys.readouterr().err.splitlines()
    assert "the search for moments took too long; the last messages were not taken" in lost


def test_nothing_is_tried_again_with_a_receiver_that_wants_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    with receiving(410) as receiver, Notifier(hook(receiver), 2.0, Stop()) as notifying:
        notifying._sender.trouble = "it answers with status 500"
        notifying.check()
        notifying.add(END)
        eventually(lambda: notifying._sender.gone)
        notifying.check()
        notifying.check()
    outage, said, last = capsys.readouterr().err.splitlines()
    assert outage.endswith("it answers with status 500; trying again")
    assert said.endswith("it answers with status 410: it wants no more messages")
    assert last.endswith("it wants no more messages; the last messages were not taken")


def test_an_ingest_notifies_a_receiver_that_fails_at_first(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LECTUREPULSE_WEBHOOK_SECRET", SECRET)
    video = film(tmp_path / "a.mp4", pictures=40, fps=4)
    with receiving(503) as receiver, committing(redis_url):
        with started("ingest", video, "--lecture", "w", "--redis", redis_url, "--webhook", receiver.url) as ingest:
            out, err = ingest.communicate(timeout=120)
        assert (ingest.returncode, len(receiver.seen), len(set(receiver.seen))) == (0, 2, 1)
        assert [each["status"] for each in receiver.of(ENDED)] == ["done"]
    assert "geheim" not in out + err
    assert SECRET not in out + err


def test_a_recording_that_is_added_on_the_page_notifies_the_webhook_of_the_environment(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = film(tmp_path / "a.mp4", pictures=8, fps=4)
    with receiving() as receiver, committing(redis_url):
        monkeypatch.setenv("LECTUREPULSE_WEBHOOK", receiver.url)
        monkeypatch.setenv("LECTUREPULSE_WEBHOOK_SECRET", SECRET)
        with serving(redis_url) as address:
            httpx.post(f"{address}api/recordings", json={"path": str(video)}, timeout=60).raise_for_status()
            eventually(lambda: [each["status"] for each in receiver.of(ENDED)] == ["done"])


@pytest.mark.parametrize(
    ("url", "secret", "reason"),
    [
        (
            "https://hooks.example/a",
            None,
            "the secret that signs the messages is not set; make one: export",
        ),
        ("https://hooks.example/a", "geheim", "LECTUREPULSE_WEBHOOK_SECRET is not whsec_ and the base64 of 24 to 64"),
        ("https://hooks.example/a", "whsec_geheim", "is not whsec_ and the base64"),
        ("http://hooks.example/geheim?token=geheim", SECRET, "is not encrypted; write https://"),
        ("http://127.0.0.1.evil.example/", SECRET, "is not encrypted; write https://"),
        ("ftp://hooks.example/", SECRET, "is not an address like https://HOST/PATH"),
        ("https:///a", SECRET, "is not an address like"),
        ("https://hooks.example:99999/", SECRET, "not a URL that can be read"),
        ("https://me:geheim@hooks.example/", SECRET, "has a user or password; leave them out"),
    ],
)
def test_a_webhook_that_cannot_be_used_is_refused_in_one_line_without_secrets(
    url: str, secret: str | None, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LECTUREPULSE_WEBHOOK_SECRET", raising=False)
    if secret is not None:
        monkeypatch.setenv("LECTUREPULSE_WEBHOOK_SECRET", secret)
    code, out, err = called("ingest", "a.mp4", "--webhook", url)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert reason in err
    assert "token=" not in err
    assert "geheim@" not in err
    assert secret is None or secret not in err
