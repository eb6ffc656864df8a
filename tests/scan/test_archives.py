"""Images and their layers: what is found in them, and what would harm whoever unpacks them."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from backports import zstd

from gateway.config.shipped import load_catalog, load_signals
from gateway.readiness.scan import archives
from gateway.readiness.scan.archives import ArchiveReader
from gateway.readiness.scan.reading import FileReader, Read

LAYER = {
    "srv/app.py": b"import openai\nclient = openai.OpenAI()\n",
    "usr/local/lib/python3.12/site-packages/anthropic-0.40.0.dist-info/METADATA": b"Name: x\n",
    "usr/local/lib/python3.12/site-packages/anthropic/_client.py": b"import anthropic\n",
    "srv/web/node_modules/@google/genai/package.json": b"{}",
    "srv/web/node_modules/@google/genai/index.js": b"import 'openai'",
}
CONFIG = json.dumps({"config": {"Env": ["PATH=/bin", "MISTRAL_API_KEY=planted"]}}).encode()


def tar(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture(scope="module")
def reader() -> FileReader:
    catalog = load_catalog()
    return FileReader(catalog, load_signals(catalog))


def read(reader: FileReader, path: Path, most: int = archives.MOST_UNPACKED) -> Read:
    return ArchiveReader(reader, most).read(path, path.name, lambda _: None)


def told(found: Read) -> set[tuple[str, str]]:
    return {(one.signal.value, one.value) for one in found.findings}


EXPECTED = {
    ("package", "openai"),
    ("client", "OpenAI"),
    ("package", "anthropic"),
    ("package", "@google/genai"),
    ("variable", "MISTRAL_API_KEY"),
}


def test_docker_save_with_plain_layers(reader: FileReader, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(tar({"ab12/layer.tar": tar(LAYER), "ab12.json": CONFIG}))

    found = read(reader, path)

    assert told(found) == EXPECTED
    assert found.unread == []
    assert "image.tar!ab12/layer.tar!srv/app.py" in {one.path for one in found.findings}


@pytest.mark.parametrize("pack", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_an_oci_layout_with_packed_blobs(
    reader: FileReader, tmp_path: Path, pack: type[bytes]
) -> None:
    path = tmp_path / "image.tar"
    files = {f"blobs/sha256/{'a' * 64}": pack(tar(LAYER)), f"blobs/sha256/{'b' * 64}": CONFIG}
    path.write_bytes(tar(files))

    assert told(read(reader, path)) == EXPECTED


def test_nothing_is_written_and_no_name_is_opened(
    reader: FileReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "secret.py"
    outside.write_text("import cohere\n")
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as out:
        for name, kind, target in (
            ("link.py", tarfile.SYMTYPE, str(outside)),
            ("hard.py", tarfile.LNKTYPE, "../../secret.py"),
            ("null.py", tarfile.CHRTYPE, ""),
            ("pipe.py", tarfile.FIFOTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            out.addfile(member)
        data = b"import openai\n"
        for name in ("../../../../escape.py", "/etc/absolute.py"):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    path = tmp_path / "evil.tar"
    path.write_bytes(made.getvalue())
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    found = read(reader, path)

    assert told(found) == {("package", "openai")}
    assert sorted(os.listdir(tmp_path)) == ["evil.tar", "secret.py", "work"]
    assert os.listdir(work) == []


def test_a_bomb_is_given_up_in_little_memory(reader: FileReader, tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar.gz"
    size = 600 << 20
    with gzip.open(path, "wb", compresslevel=1) as out:
        head = tarfile.TarInfo("zeros.py")
        head.size = size
        out.write(head.tobuf())
        for _ in range(size >> 20):
            out.write(bytes(1 << 20))
    tracemalloc.start()

    found = read(reader, path)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20
    assert [one.reason for one in found.unread] == [
        "it is larger than 4 MiB",
        "it unpacks to more than 200 times what was read: the rest was not read",
    ]


def test_a_bound_in_bytes(reader: FileReader, tmp_path: Path) -> None:
    path = tmp_path / "large.tar"
    path.write_bytes(tar({f"{i}.bin": os.urandom(1 << 16) for i in range(64)}))

    reasons = [one.reason for one in read(reader, path, most=1 << 20).unread]

    assert reasons == ["it unpacks to more than 1 MiB: the rest was not read"]


def test_a_header_that_would_fill_the_memory(reader: FileReader, tmp_path: Path) -> None:
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.XHDTYPE, 8 << 30
    path = tmp_path / "header.tar"
    path.write_bytes(head.tobuf() + bytes(1 << 20))

    assert [one.reason for one in read(reader, path).unread] == ["it is no whole tar archive"]


def test_archives_in_archives_end_somewhere(reader: FileReader, tmp_path: Path) -> None:
    data = tar(LAYER)
    for _ in range(8):
        data = tar({"inner.tar": data})
    path = tmp_path / "deep.tar"
    path.write_bytes(data)

    found = read(reader, path)

    assert found.findings == []
    assert found.passed == 1


@pytest.mark.parametrize("data", [b"", b"import openai\n" * 100, gzip.compress(b"openai")[:-9]])
def test_what_is_no_archive_is_told(reader: FileReader, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken.tar"
    path.write_bytes(data)

    assert [one.reason for one in read(reader, path).unread] == ["it is no whole tar archive"]


def test_a_layer_that_is_cut_short_is_told_with_what_came_before(
    reader: FileReader, tmp_path: Path
) -> None:
    layer = tar({"a.py": b"import openai\n", "b.bin": os.urandom(1 << 16)})
    path = tmp_path / "image.tar"
    path.write_bytes(tar({"ab/layer.tar": layer[: len(layer) // 2]}))

    found = read(reader, path)

    assert told(found) == {("package", "openai")}
    assert [one.path for one in found.unread] == ["image.tar!ab/layer.tar"]
