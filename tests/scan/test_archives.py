"""Images and their layers: what is found in them, and what would harm whoever unpacks them."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from backports import zstd

from gateway.config.shipped import load_catalog, load_signals
from gateway.readiness.scan import archives, zips
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


@pytest.mark.parametrize(
    "data",
    [b"", b"import openai\n" * 100, gzip.compress(b"openai")[:-9]],
    ids=["empty", "no archive", "cut short"],
)
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


def zipped(files: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return out.getvalue()


CODE = {"src/lib/app.py": LAYER["srv/app.py"], "src/web/index.js": b"import 'groq-sdk'\n"}
PROPERTIES = "META-INF/maven/com.openai/openai-java/pom.properties"


def test_a_zip_is_read_like_a_folder(reader: FileReader, tmp_path: Path) -> None:
    """Whatever is in it: an archive within it, and it within an archive."""
    path = tmp_path / "app.zip"
    path.write_bytes(zipped({**CODE, "image.tar": tar(LAYER), "empty/": b""}))
    found = read(reader, path)
    assert told(found) == {*EXPECTED, ("package", "groq-sdk")} - {("variable", "MISTRAL_API_KEY")}
    assert found.unread == []
    assert "app.zip!src/lib/app.py" in {one.path for one in found.findings}
    outer = tmp_path / "outer.tar"
    outer.write_bytes(tar({"opt/app.zip": zipped(CODE)}))
    assert "outer.tar!opt/app.zip!src/web/index.js" in {
        one.path for one in read(reader, outer).findings
    }


def test_jars_say_what_is_in_them(reader: FileReader, tmp_path: Path) -> None:
    """One of many jars: by the properties that Maven puts there; its settings are read."""
    path = tmp_path / "app.jar"
    inner = zipped({PROPERTIES: b"version=1\n"})
    settings = b"spring.ai.mistral.api-key: x\n"
    path.write_bytes(
        zipped(
            {
                "BOOT-INF/lib/openai-java-1.0.jar": inner,
                "BOOT-INF/classes/application.properties": settings,
            }
        )
    )
    found = read(reader, path)
    assert ("package", "com.openai:openai-java") in told(found)
    assert ("variable", "spring.ai.mistral.api-key") in told(found)


def test_wheels_and_packages_of_nuget_say_what_they_are(reader: FileReader, tmp_path: Path) -> None:
    """Of a known one that is all; of our own the code is read."""
    theirs = {"openai-1.0.dist-info/METADATA": b"Name: openai\n", "openai/x.py": b"import cohere\n"}
    path = tmp_path / "openai-1.0-py3-none-any.whl"
    path.write_bytes(zipped(theirs))
    assert told(read(reader, path)) == {("package", "openai")}
    ours = {"acme-1.0.dist-info/METADATA": b"Name: acme\n", "acme/x.py": b"import cohere\n"}
    path.write_bytes(zipped(ours))
    assert told(read(reader, path)) == {("package", "cohere")}
    nupkg = tmp_path / "OpenAI.2.0.0.nupkg"
    nupkg.write_bytes(zipped({"OpenAI.nuspec": b"<package/>"}))
    assert told(read(reader, nupkg)) == {("package", "OpenAI")}


def test_a_zip_that_would_harm_is_left(
    reader: FileReader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its size unpacked, its directory, its depth; one that is none is said to be none."""
    path = tmp_path / "bomb.zip"
    path.write_bytes(zipped({"a.py": bytes(8 << 20), **CODE, "b.py": b"import mistralai\n"}))
    assert told(read(reader, path)) >= {("package", "openai"), ("package", "mistralai")}
    monkeypatch.setattr(archives, "LARGEST_FILE", 64 << 20)
    monkeypatch.setattr(archives, "FREE", 1 << 20)
    found = read(reader, path)
    assert [one.reason for one in found.unread] == [
        "it unpacks to more than 200 times what was read: the rest was not read"
    ]
    assert read(reader, path, most=1 << 20).unread[0].reason.startswith("it unpacks to more than 1")
    monkeypatch.setattr(zips, "LARGEST_DIRECTORY", 10)
    assert "directory is too large" in read(reader, path).unread[0].reason
    path.write_bytes(b"PK not really")
    assert [one.reason for one in read(reader, path).unread] == ["it is no whole zip archive"]


def test_zips_within_zips_end_somewhere(reader: FileReader, tmp_path: Path) -> None:
    data = zipped(CODE)
    for _ in range(6):
        data = zipped({"in.zip": data})
    path = tmp_path / "deep.zip"
    path.write_bytes(data)
    assert read(reader, path).findings == []


def test_entries_that_are_encrypted_or_broken_are_told_of(
    reader: FileReader, tmp_path: Path
) -> None:
    """And the others are read."""
    path = tmp_path / "some.zip"
    data = bytearray(zipped({"a.py": b"import cohere\n", **CODE}, zipfile.ZIP_STORED))
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"src/lib/app.py"))
    data[at + 8] |= 1
    data[data.index(b"cohere")] ^= 1
    path.write_bytes(bytes(data))
    found = read(reader, path)
    assert told(found) == {("package", "groq-sdk")}
    assert {one.path: one.reason for one in found.unread} == {
        "some.zip!a.py": "it cannot be unpacked",
        "some.zip!src/lib/app.py": "it is encrypted",
    }
