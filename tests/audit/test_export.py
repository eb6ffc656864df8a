"""What leaves the log for other systems can be read by them, and does no harm there."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import arro3.io
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gateway.audit.export import FORMULA, Exported, write_csv, write_ocsf
from gateway.audit.happening import Happening
from gateway.audit.parquet import ROWS
from gateway.audit.parquet import write as write_parquet
from gateway.audit.record import AttemptRecord, Record
from gateway.audit.table import COLUMNS, Type
from gateway.domain.decision import Labels, Verdict
from tests.audit.logs import NOW, Written, judged, request
from tests.audit.ocsf import CLASSES

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SERVED = request(1, traceparent=TRACE, client_request_id="mine", reasoning_tokens=3)
DENIED = request(
    2,
    key=None,
    labels=Labels(tags=frozenset({"b", "a"})),
    targets=(judged("deepseek/v3", Verdict.DENY, "list"),),
    attempts=[],
    outcome="vendor_blocked",
    status=451,
    served_by=None,
    locality=None,
    prompt_tokens=None,
    completion_tokens=None,
    cost=None,
)
OVER = request(
    3,
    attempts=[
        AttemptRecord("openai/gpt-4o", "server_error", 10, "r1"),
        AttemptRecord("local/smollm2", "served", 20, "r1", 5),
    ],
    served_by="local/smollm2",
    locality="local",
    failover="server_error",
)
LEFT = request(4, outcome="cancelled", status=None)
EVENTS = (
    Happening("vendor.banned", NOW, "local:root", "openai", "an order", {"revision": "r2"}),
    Happening("policy.changed", NOW, subject="r2", detail={"old": "r1"}),
    Happening("policy.refused", NOW, subject="r2", reason="line 3"),
    Happening("key.created", NOW, "operator:o1", "k1"),
    Happening("key.revoked", NOW, "operator:o1", "k1"),
    Happening("operator.refused", NOW, subject="127.0.0.1", reason="no such key"),
    Happening("operator.login", NOW, "operator:o1"),
    Happening("model.loaded", NOW, subject="smollm2"),
    Happening("gateway.started", NOW, detail={"pid": 7}),
    Happening("audit.torn", NOW, subject="audit-00000001.jsonl", detail={"bytes": 3}),
)


def exported(folder: Path, *things: Record | Happening, **limits: Any) -> Exported:
    return Exported(Written().add(*things).sign().save(folder / "log"), **limits)


def ocsf(lines: Exported) -> list[dict[str, Any]]:
    into = io.StringIO()
    write_ocsf(lines.lines(), into)
    return [json.loads(line) for line in into.getvalue().splitlines()]


def test_every_line_but_a_checkpoint_is_an_event_of_ocsf(tmp_path: Path) -> None:
    """Each valid for its class, by what the schema publishes."""
    lines = exported(tmp_path, SERVED, DENIED, OVER, LEFT, *EVENTS)
    found = ocsf(lines)
    assert (len(found), lines.written, lines.bad) == (14, 14, 0)
    for one in found:
        Draft202012Validator(CLASSES[one["class_uid"]]).validate(one)
        assert one["type_uid"] == one["class_uid"] * 100 + one["activity_id"]
    assert [one["class_uid"] for one in found[4:]] == [
        *(3004, 3004, 3004, 3004, 3004, 3002, 3002, 3004, 6002, 3004)
    ]
    assert [one["activity_id"] for one in found[4:]] == [9, 3, 3, 1, 4, 1, 1, 10, 3, 99]
    assert [one["status_id"] for one in found[4:]] == [1, 1, 2, 1, 1, 2, 1, 1, 1, 2]
    assert found[4]["comment"] == "an order"
    assert found[9]["status_detail"] == "no such key"


def test_a_request_keeps_in_ocsf_what_it_tells(tmp_path: Path) -> None:
    """Who asked, whom it reached, what was decided, what it cost."""
    served, denied, over, left = ocsf(exported(tmp_path, SERVED, DENIED, OVER, LEFT))
    assert served["time"] == 1780315201000
    assert served["status_id"] == 1
    assert served["actor"]["user"]["uid"] == "k1"
    assert served["actor"]["user"]["groups"] == [{"name": "shop"}]
    assert served["api"]["operation"] == "chat/completions"
    assert served["metadata"]["uid"] == "req-1"
    assert served["metadata"]["correlation_uid"] == "mine"
    assert served["trace"] == {"uid": "0af7651916cd43dd8448eb211c80319c"}
    assert served["message_context"]["total_tokens"] == 22
    assert served["ai_model"] == {"ai_provider": "openai", "name": "gpt-4o"}
    assert [one["role"] for one in served["resources"]] == ["Target", "Related"]
    assert served["unmapped"]["cost"] == 115
    assert served["unmapped"]["reasoning_tokens"] == 3
    assert denied["actor"] == {"user": {"name": "anonymous", "type_id": 0}}
    assert (denied["status_id"], denied["status_code"]) == (2, "vendor_blocked")
    assert denied["status_detail"] == "deny deepseek/v3 by list"
    assert denied["http_response"]["code"] == 451
    assert denied["unmapped"]["labels"] == {"tags": ["a", "b"]}
    assert over["unmapped"]["failover"] == "server_error"
    assert over["ai_model"]["ai_provider"] == "local"
    assert (left["status_id"], left["status"]) == (99, "cancelled")
    assert "http_response" not in left


def table(lines: Exported) -> list[dict[str, str]]:
    into = io.StringIO()
    write_csv(lines.rows(), into)
    return list(csv.DictReader(io.StringIO(into.getvalue())))


def test_the_table_has_a_row_for_each_request_and_event(tmp_path: Path) -> None:
    """With the columns that are documented."""
    served, denied, over, banned = table(exported(tmp_path, SERVED, DENIED, OVER, EVENTS[0]))
    assert list(served) == [column.name for column in COLUMNS]
    assert {**served, "policy": ""} == dict.fromkeys(served, "") | {
        "kind": "request",
        "seq": "1",
        "at": "2026-06-01T12:00:01+00:00",
        "id": "req-1",
        "client_request_id": "mine",
        "api": "chat/completions",
        "model": "gpt-4o",
        "stream": "false",
        "key": "k1",
        "team": "shop",
        "app": "checkout",
        "outcome": "served",
        "status": "200",
        "served_by": "openai/gpt-4o",
        "locality": "cloud",
        "vendors": "openai",
        "verdict": "allow",
        "rule": "vendors",
        "tried": "openai/gpt-4o=served",
        "prompt_tokens": "14",
        "completion_tokens": "8",
        "reasoning_tokens": "3",
        "cost": "115",
        "duration_us": "812345",
        "first_content_us": "300000",
        "traceparent": TRACE,
    }
    assert (denied["verdict"], denied["rule"], denied["denied"]) == ("deny", "list", "deepseek/v3")
    assert (denied["tags"], denied["cost"]) == ("a b", "")
    assert over["tried"] == "openai/gpt-4o=server_error local/smollm2=served"
    assert (banned["event"], banned["actor"], banned["reason"], banned["detail"]) == (
        *("vendor.banned", "local:root", "an order"),
        '{"revision":"r2"}',
    )


@pytest.mark.parametrize("begin", FORMULA)
def test_no_cell_is_a_formula(tmp_path: Path, begin: str) -> None:
    """Though an app chooses the name of the model and the id of its request."""
    text = f"{begin}cmd|' /C calc'!A0"
    (found,) = table(exported(tmp_path, request(model=text, client_request_id=text)))
    assert found["model"] == found["client_request_id"] == f"'{text}"


@given(st.text(max_size=20))
def test_any_name_is_one_cell(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    """Quotes, commas and lines in it are part of it."""
    folder = tmp_path_factory.mktemp("log", numbered=True)
    (found,) = table(exported(folder, request(model=name)))
    assert found["model"].removeprefix("'") == name.removeprefix("'")
    assert not found["model"].startswith(FORMULA)
    assert found["id"] == "req-1"


def test_parquet_holds_the_same_table(tmp_path: Path) -> None:
    """With types: whole numbers, truth values, and times in UTC to the microsecond."""
    late = request(5, at=NOW + timedelta(microseconds=7), stream=True)
    things = (SERVED, DENIED, OVER, LEFT, late, *EVENTS)
    lines = exported(tmp_path, *things)
    file = tmp_path / "audit.parquet"
    write_parquet(lines.rows(), file)
    read = arro3.io.read_parquet(file).read_all()
    found = {name: read[name].to_pylist() for name in read.schema.names}
    assert list(found) == [column.name for column in COLUMNS]
    assert list(zip(*found.values(), strict=True)) == list(exported(tmp_path, *things).rows())
    assert found["at"][4] == late.at
    assert found["stream"][3:6] == [False, True, None]
    types = {column.name: str(read.schema.field(column.name).type) for column in COLUMNS}
    assert "Int64" in types["cost"]
    assert "Timestamp(" in types["at"]
    assert "UTC" in types["at"]


def test_parquet_is_written_in_parts(tmp_path: Path) -> None:
    """More rows than are in memory at a time."""
    rows = list(exported(tmp_path, SERVED).rows()) * (2 * ROWS + 1)
    file = tmp_path / "audit.parquet"
    write_parquet(iter(rows), file)
    assert sum(batch.num_rows for batch in arro3.io.read_parquet(file)) == 2 * ROWS + 1
    write_parquet(iter(()), file)
    assert arro3.io.read_parquet(file).read_all().num_rows == 0


def test_only_a_time_can_be_taken_and_what_is_no_line_is_counted(tmp_path: Path) -> None:
    """The last line of a log that is being written is no fault."""
    later = request(60)
    (file,) = Written().add(SERVED, DENIED, later).save(tmp_path)
    lines = Exported([file], since=DENIED.at, until=later.at)
    assert [one["id"] for one in table(lines)] == ["req-2"]
    content = file.read_bytes()
    file.write_bytes(b"nonsense\n" + content + b'{"kind":')
    lines = Exported([file])
    assert len(table(lines)) == 3
    assert (lines.written, lines.bad) == (3, 1)
    assert lines.first_bad is not None
    assert lines.first_bad.place.line == 1


def test_every_type_of_a_column_is_used() -> None:
    """So that what is said of types is tested above."""
    assert {column.type for column in COLUMNS} == set(Type)
    assert all(column.says or column.name.endswith("_tokens") for column in COLUMNS)
