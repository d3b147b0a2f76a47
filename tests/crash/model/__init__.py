"""The delivery protocol as a model, searched completely, and tests that compare it with the code.

org.py, ledger_model.py      the state that outlives a process: the org, the ledger
protocol.py, reconcile.py    what a run does with a batch, as `pipelines/steps/load.py` does it
ops.py, units.py             the operations of a run, and what it does besides its batches
process.py                   a process as a value that can be copied
errors.py, network.py, org_events.py    errors, faults of the network, and events in the org
actions.py, successors.py    what can happen next
invariants.py                what must hold
search.py                    search every schedule within a budget, each state once
setting.py, settings.py      what is searched
trace.py                     print a schedule
bugs.py, wrong_steps.py      protocols with a planted bug, which the search must find
paths.py, rig.py, relay.py, recorder.py, batch_view.py    the steps of the real code
long_run.py                  `make test-model`
"""
