"""The delivery protocol as a model that a machine searches whole, and the tests that hold the code
to it.

    org.py, books.py       what lasts: the org, the ledger
    protocol.py, settle.py what a run does, step by step, as `pipelines/steps/load.py` does it
    units.py, run.py       what surrounds the steps; a process as a value
    wire.py, org_side.py   what may happen to it: faults of the wire, troubles of the org
    doings.py, happenings.py   who goes on, and what else may happen
    laws.py                what must hold
    search.py, settings.py every schedule within a budget, each state looked at once
    story.py               a schedule, drawn
    bugs.py, wrong_steps.py    protocols with a planted bug, which the search must find
    relay.py, recorder.py, rig.py, journeys.py   the same words for what the code really does
    long_run.py            `make test-model`
"""
