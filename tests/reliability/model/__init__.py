"""The delivery protocol as a model that a machine searches whole, and the tests that hold the code
to it.

    org.py, books.py   what lasts: the org, the ledger
    protocol.py        what a run does, step by step, as `pipelines/delivery.py` does it
    world.py           what may happen to it: faults of wire, warehouse, process and org
    search.py          every schedule within a budget, each state looked at once
    story.py           a schedule, drawn
    bugs.py            protocols with a planted bug, which the search must find
    recorder.py        the same words for what the code really does
    long_run.py        `make model`
"""
