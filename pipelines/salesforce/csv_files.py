"""Read a CSV file of the org as a frame of text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from pipelines.errors import OrgUnavailableError

STR: Final = pd.StringDtype(na_value=np.nan)

# A record may have 400,000 characters, and pyarrow wants each to fit in one block.
_BLOCK_BYTES = 8 << 20
_HEADER_BYTES = 1 << 20


def read_csv(data: bytes, key: str = "", wanted: Sequence[str] = ()) -> pd.DataFrame:
    """Return a CSV of the org as a frame: all columns `str`, empty cells null.

    Where there is a column `key`, in any case, only it and the `wanted` columns are read. Raise
    OrgUnavailableError when the CSV cannot be parsed.
    """
    if not data:
        return pd.DataFrame()
    try:
        names = next(csv.reader(io.StringIO(data[:_HEADER_BYTES].decode("utf-8-sig", "replace"))))
        keys = [name for name in names if name.lower() == key.lower()]
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            read_options=pa_csv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=[n for n in names if n in (*wanted, *keys)] if keys else None,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except (pa.ArrowInvalid, csv.Error, StopIteration):
        # The library's message quotes rows. Raised below, so that it does not become `__context__`.
        table = None
    if table is None:
        raise OrgUnavailableError("a CSV of the org cannot be read: fetch it again")
    frame: pd.DataFrame = table.to_pandas(types_mapper={pa.string(): STR}.get)
    return frame
