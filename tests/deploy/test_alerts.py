"""The alert rules and the configuration of Prometheus, checked by promtool."""

import subprocess

import pytest

from tests.deploy.prometheus import FOLDER, program


@pytest.mark.parametrize("words", ["check rules rules.yml", "test rules rules.test.yml", "check config prometheus.yml"])
def test_rules_and_configuration_are_valid_and_the_rules_pass_their_tests(words: str) -> None:
    *command, file = words.split()
    command = [program("promtool"), *command, str(FOLDER / file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test_in_which_it_fires() -> None:
    alerts = [line.split()[-1] for line in (FOLDER / "rules.yml").read_text().splitlines() if "- alert:" in line]
    tested = (FOLDER / "rules.test.yml").read_text()
    assert alerts
    assert all(alert in tested for alert in alerts)
