"""What a long run takes: no more after many slices than after one."""

import subprocess
import sys

import pytest

# As a slice does: columns of a few megabytes, and between them small things that stay.
SLICES = """
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

kept = []

def slice_of(columns):
    frame = []
    for size in range(columns):
        cells = np.arange(250_000 + 5_000 * size)
        kept.append(bytes(2_000))
        frame += [cells, pc.cast(pa.array(cells), pa.string())]

slice_of(10)
before = resident_mb()
for _ in range(5):
    slice_of(40)
print(resident_mb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process holds")
def test_what_a_slice_took_is_given_back() -> None:
    preparation = (
        "from pipelines import memory; memory.limit_heap_growth(); memory.limit_heap_growth()\n"
    )
    command = [sys.executable, "-c", preparation + SLICES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    left_mb = float(done.stdout)
    assert left_mb < 20, f"{left_mb:.0f} MB stay behind five slices; without care it is some 180"
