"""The stages of the flows' tests."""

from tests.steps.conftest import any_stage, emulator_process, stage

__all__ = ["any_stage", "emulator_process", "stage"]
