"""The scenarios of the flows' tests."""

from tests.steps.conftest import any_scenario, emulator_process, scenario

__all__ = ["any_scenario", "emulator_process", "scenario"]
