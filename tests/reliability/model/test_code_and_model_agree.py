"""The code and the model take the same steps: derived from both by running them."""
from __future__ import annotations
import time
import pytest
from pathlib import Path
from tests.reliability.model.journeys import journeys, travel

def test_dump(emulator_process, relay, migrated_sqlite, tmp_path):
    out=[]
    for case in journeys():
        b=time.time()
        try:
            labels=travel(case, emulator_process, relay, migrated_sqlite, tmp_path)
        except Exception as e:
            labels=[("EXC", repr(e)[:300])]
        for label in labels: out.append((" | ".join(label), case, round(time.time()-b,2)))
    Path("/tmp/code_labels.txt").write_text("\n".join(f"{l}\t{c.persons} {c.job} {c.steps} {c.has_field}\t{t}" for l,c,t in out))
