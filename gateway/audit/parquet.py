"""The table as a Parquet file, by arro3 (the Arrow and Parquet of Rust, 12 MB), which is an extra:
``pip install 'sovereign-gateway[parquet]'``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema
from arro3.io import write_parquet

from gateway.audit.table import COLUMNS, Row, Type

ROWS = 8192
"""Rows that are in memory at a time."""
GROUP = 131_072
"""Rows of a row group."""

_TYPES = {
    Type.TEXT: DataType.utf8(),
    Type.WHOLE: DataType.int64(),
    Type.TRUTH: DataType.bool(),
    Type.TIME: DataType.timestamp("us", tz="UTC"),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SCHEMA = Schema([Field(column.name, _TYPES[column.type]) for column in COLUMNS])


def write(rows: Iterable[Row], path: Path) -> None:
    """Write all ``rows`` to a new file. Raises ``OSError``."""
    reader = RecordBatchReader.from_batches(_SCHEMA, _batches(iter(rows)))
    write_parquet(reader, path, compression="zstd(3)", max_row_group_size=GROUP)


def _batches(rows: Iterator[Row]) -> Iterator[RecordBatch]:
    while some := list(islice(rows, ROWS)):
        columns = zip(*some, strict=True)
        yield RecordBatch.from_arrays(
            [_array(values, column.type) for values, column in zip(columns, COLUMNS, strict=True)],
            schema=_SCHEMA,
        )


def _array(values: Iterable[Any], type: Type) -> Array:
    if type is Type.TIME:
        # Whole microseconds: a float would not hold them.
        since = [(at - _EPOCH) // _MICROSECOND for at in values]
        return Array(since, type=DataType.int64()).cast(_TYPES[type])
    return Array(list(values), type=_TYPES[type])
