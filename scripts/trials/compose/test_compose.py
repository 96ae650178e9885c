"""Runs compose/smoke.sh where a Docker engine answers."""

import subprocess

import pytest
from harness import ROOT


def test_three_brokers_in_containers():
    done = subprocess.run([str(ROOT / "compose" / "smoke.sh")], capture_output=True, text=True, timeout=600)
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
