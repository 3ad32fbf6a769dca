"""The alert rules and the configuration of Prometheus, checked by promtool."""

import subprocess

import pytest

from tests.deploy.prometheus import FOLDER, program


@pytest.mark.parametrize("check", [("check", "rules", "rules.yml"), ("test", "rules", "rules.test.yml")])
def test_the_alert_rules_are_valid_and_pass_their_tests(check: tuple[str, str, str]) -> None:
    _promtool(*check[:2], str(FOLDER / check[2]))


def test_the_configuration_is_valid() -> None:
    _promtool("check", "config", str(FOLDER / "prometheus.yml"))


def test_every_alert_has_a_test_in_which_it_fires() -> None:
    alerts = [line.split()[-1] for line in (FOLDER / "rules.yml").read_text().splitlines() if "- alert:" in line]
    tested = (FOLDER / "rules.test.yml").read_text()
    assert alerts
    assert all(alert in tested for alert in alerts)


def _promtool(*words: str) -> None:
    done = subprocess.run([program("promtool"), *words], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
