"""The environment variables that TensorFlow reads when it is imported."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("given", "read"), [(None, "1"), ("0", "0")])
def test_training_asks_tensorflow_for_onednn_unless_the_user_decides(given: str | None, read: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    environment |= {} if given is None else {"TF_ENABLE_ONEDNN_OPTS": given}
    script = "import os, training; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    printed = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert printed.stdout.strip() == read, printed.stderr
