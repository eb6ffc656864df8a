"""Forms: the model's field is found and replaced, all else stays byte for byte, and nothing that
two parsers could read differently gets through.
"""

from __future__ import annotations

from email import message_from_bytes
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.call import Api, Call
from gateway.domain.identity import Identity, Locality
from gateway.domain.target import Target
from gateway.errors import InvalidRequest, UnsupportedMedia
from gateway.wire.multipart import MOST_PARTS, boundary_of, content_type, is_form
from gateway.wire.openai_passed import PassingSpeech
from gateway.wire.openai_passing import parse
from tests.simulators.form import Field, fields

BOUNDARY = "b-0123"
KIND = f"multipart/form-data; boundary={BOUNDARY}"
WANTED = "vendor-whisper"
MODEL = 'Content-Disposition: form-data; name="model"'
FILE = 'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav'


def form(*given: tuple[str, bytes], boundary: str = BOUNDARY) -> bytes:
    """A form of pairs: the head of each field, and its value."""
    mark = f"--{boundary}".encode()
    pieces = [b"%b\r\n%b\r\n\r\n%b\r\n" % (mark, h.encode("latin-1"), v) for h, v in given]
    return b"".join((*pieces, mark, b"--\r\n"))


def rewritten(body: bytes, kind: str = KIND, api: Api = Api.TRANSCRIPTIONS) -> bytes:
    """What a vendor is sent."""
    request = parse(api, body, kind.encode())
    call = Call(
        id="1",
        api=api,
        model=request.model,
        stream=request.stream,
        body=body,
        asked=request.task,
        received=0,
        deadline=1,
    )
    identity = Identity("openai", "openai", WANTED, (), Locality.CLOUD, ())
    return PassingSpeech(api).request(call, Target("openai", WANTED, identity))


def models(body: bytes, kind: str = KIND) -> list[bytes]:
    """Every model that a vendor could find: by python-multipart, and by the standard library."""
    found = [f.data for f in fields(body, kind) if f.name.lower() == "model"]
    message = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    for part in message.walk():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str) and name.lower() == "model":
            payload = part.get_payload(decode=True)
            found.append(payload if isinstance(payload, bytes) else b"several")
    return found


def test_the_models_field_is_replaced_and_nothing_else() -> None:
    """Whatever stood in its head: the field is written anew."""
    sound = b"RIFF\r\n--b\r\n\x00\xff" * 100
    model = MODEL + "\r\nContent-Type: text/plain; charset=utf-8"
    body = form((FILE, sound), (model, b"gpt-transcribe"), (f'{MODEL[:-6]}prompt"', b"hm"))
    request = parse(Api.TRANSCRIPTIONS, body, KIND.encode())
    assert (request.model, request.named, request.stream) == ("gpt-transcribe", True, False)
    assert rewritten(body) == form(
        (FILE, sound), (MODEL, WANTED.encode()), (f'{MODEL[:-6]}prompt"', b"hm")
    )


def test_fields_are_read() -> None:
    def said(**given: str) -> Any:
        more = [(f'{MODEL[:-6]}{name}"', value.encode()) for name, value in given.items()]
        return parse(Api.TRANSCRIPTIONS, form((MODEL, b"m"), *more), KIND.encode())

    assert said(stream="True").stream
    assert not said(stream="false").stream
    assert said(response_format="srt").task.text
    assert not any(said(response_format=f"{kind}json").task.text for kind in ("", "verbose_"))
    assert not said().task.text
    assert said(user="ann").session == "ann"
    with pytest.raises(InvalidRequest) as caught:
        said(stream="perhaps")
    assert caught.value.param == "stream"


NAME = MODEL[:-7]
REFUSED: dict[str, tuple[bytes, str | None]] = {
    "two models": (form((MODEL, b"m"), (MODEL, b"n")), "model"),
    "a model that is a file": (form((MODEL + '; filename="m"', b"m")), "model"),
    "a model of another type": (
        form((MODEL + "\r\nContent-Type: application/json", b"m")),
        "model",
    ),
    "a model in another case": (form((MODEL, b"m"), (f'{NAME}"Model"', b"n")), "Model"),
    "a list of models": (form((MODEL, b"m"), (f'{NAME}"model[]"', b"n")), "model[]"),
    "a model of something": (form((MODEL, b"m"), (f'{NAME}"svg[model]"', b"n")), "svg[model]"),
    "no model": (form((FILE, b"x")), "model"),
    "an empty model": (form((MODEL, b"")), "model"),
    "a model that is no UTF-8": (form((MODEL, "m".encode("utf-16"))), "model"),
    "a name with a percent": (form((MODEL, b"m"), (f'{NAME}"mod%65l"', b"n")), None),
    "a name with a backslash": (form((MODEL, b"m"), (f'{NAME}"mo\\del"', b"n")), None),
    "a name in an extended form": (
        form((MODEL, b"m"), (f"{NAME}\"x\"; name*=utf-8''model", b"n")),
        None,
    ),
    "two names": (form((MODEL, b"m"), (f'{NAME}"x"; name="model"', b"n")), None),
    "a quote in a file's name": (
        form((MODEL, b"m"), (f'{NAME}"x"; filename="a\\"; name="model"', b"n")),
        None,
    ),
    "a second disposition": (form((MODEL, b"m"), (f'{NAME}"x"\r\n{MODEL}', b"n")), None),
    "a folded line": (form((MODEL, b"m"), (f'{NAME}"x";\r\n name="model"', b"n")), None),
    "a line's end in a head": (form((MODEL, b"m"), (f'{NAME}"x"\n{MODEL}', b"n")), None),
    "another disposition": (form((MODEL.replace("form-data", "attachment"), b"m")), None),
    "an encoded field": (
        form((MODEL, b"m"), (FILE + "\r\nContent-Transfer-Encoding: base64", b"bQ==")),
        "file",
    ),
    "another charset for all": (form((MODEL, b"m"), (f'{NAME}"_charset_"', b"utf-7")), "_charset_"),
    "fields within a field": (
        form((MODEL, b"m"), (f'{NAME}"f"\r\nContent-Type: multipart/mixed; boundary=c', b"--c--")),
        "f",
    ),
    "a preamble": (b"x\r\n" + form((MODEL, b"m")), None),
    "an epilogue": (form((MODEL, b"m")) + b"--b-0123\r\n", None),
    "line ends without CR": (form((MODEL, b"m")).replace(b"\r\n", b"\n"), None),
    "a boundary behind LF": (form((MODEL, b"m"), (FILE, b"\n--b-0123\n" + MODEL.encode())), None),
    "a boundary within a line": (form((MODEL, b"m"), (FILE, b"\r\n--b-0123x")), None),
    "blanks behind a boundary": (form((MODEL, b"m")).replace(b"0123\r\n", b"0123 \r\n", 1), None),
    "another boundary": (form((MODEL, b"m"), boundary="c"), None),
    "no end": (form((MODEL, b"m"))[:-6], None),
    "half an end": (form((MODEL, b"m"))[:-3], None),
    "nothing": (b"", None),
    "no head": (b"--b-0123\r\n\r\nx\r\n--b-0123--", None),
    "too many fields": (form((MODEL, b"m"), *((f'{NAME}"x"', b"y"),) * MOST_PARTS), None),
    "a head without end": (form((f"{MODEL}\r\nX: {'x' * 20_000}", b"m")), None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_be_read_in_two_ways_is_refused(case: str) -> None:
    body, param = REFUSED[case]
    with pytest.raises(InvalidRequest) as caught:
        parse(Api.TRANSCRIPTIONS, body, KIND.encode())
    assert caught.value.param == param
    assert caught.value.code in {
        *("invalid_form", "invalid_value", "duplicate_parameter"),
        *("unsupported_parameter", "missing_required_parameter"),
    }


@pytest.mark.parametrize("cut", range(0, 80))
def test_a_form_that_breaks_off_is_refused_wherever_it_does(cut: int) -> None:
    body = form((MODEL, b"m"), (FILE, b"x"))
    assert parse(Api.TRANSCRIPTIONS, body, KIND.encode()).model == "m"
    with pytest.raises(InvalidRequest):
        parse(Api.TRANSCRIPTIONS, body[: cut * (len(body) - 2) // 80], KIND.encode())


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        ("multipart/form-data; boundary=x", "x"),
        ('Multipart/Form-Data ;BOUNDARY="a b"', None),
        ('multipart/form-data; charset=utf-8; boundary="==a/b=="', "==a/b=="),
        ("multipart/form-data; boundary=----WebKitFormBoundaryAbC1", "----WebKitFormBoundaryAbC1"),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=x; boundary=y", None),
        ("multipart/form-data; boundary=x y", None),
        ("multipart/form-data; boundary=" + "x" * 71, None),
        ('multipart/form-data; boundary="x\\"y"', None),
        ("multipart/form-data; boundary=x\r\nX-Evil: 1", None),
        ("multipart/form-data; boundary=é", None),
    ],
)
def test_boundaries(kind: str, boundary: str | None) -> None:
    """Only what can stand in a header of ours gets there, and comes out as it was."""
    raw = kind.encode()
    assert is_form(raw)
    if boundary is None:
        with pytest.raises(ValueError, match="boundary"):
            boundary_of(raw)
    else:
        assert boundary_of(raw) == boundary
        assert boundary_of(content_type(boundary)) == boundary


@pytest.mark.parametrize(
    ("api", "kind"),
    [
        (Api.TRANSCRIPTIONS, "application/json"),
        (Api.TRANSCRIPTIONS, "application/x-www-form-urlencoded"),
        (Api.TRANSCRIPTIONS, "multipart/mixed; boundary=b-0123"),
        (Api.IMAGE_VARIATIONS, ""),
        (Api.IMAGE_EDITS, "text/plain"),
        (Api.SPEECH, KIND),
        (Api.MODERATIONS, KIND),
    ],
)
def test_other_content_types_are_refused(api: Api, kind: str) -> None:
    with pytest.raises(UnsupportedMedia, match=f"/v1/{api} takes"):
        parse(api, form((MODEL, b"m")), kind.encode())


NAMES = st.sampled_from(["file", "image[]", "prompt", "language", "mask", "timestamps[0]"])
FIELDS = st.lists(
    st.tuples(
        NAMES,
        st.none()
        | st.text(st.characters(codec="utf-8", exclude_characters='"\\\r\n\0'), max_size=9),
        st.sampled_from(["", "\r\nContent-Type: audio/wav", "\r\ncontent-type:image/png;a=b"]),
        st.binary(max_size=40) | st.sampled_from([b"\r\n", b"--", b"\r\n--b", b'name="model"']),
    ),
    max_size=6,
)


@given(
    FIELDS,
    st.integers(0, 6),
    st.sampled_from(["m", "gpt-4o-transcribe", "übel"]),
    st.sampled_from([BOUNDARY, "----WebKitFormBoundary7MA4", "==a=="]),
)
def test_all_fields_but_the_models_stay_as_they_are(
    given: list[tuple[str, str | None, str, bytes]], place: int, model: str, boundary: str
) -> None:
    written = []
    for name, file, more, value in given:
        said = "" if file is None or not file.isprintable() else f'; filename="{file}"'
        head = f'Content-Disposition: form-data; name="{name}"{said}{more}'
        written.append((head.encode().decode("latin-1"), value))
    written.insert(place, (MODEL, model.encode()))
    body = form(*written, boundary=boundary)
    kind = content_type(boundary).decode()
    made = rewritten(body, kind)

    def others(form: bytes) -> list[Field]:
        return [one for one in fields(form, kind) if one.name != "model"]

    assert others(made) == others(body)
    assert set(models(made, kind)) == {WANTED.encode()}
    at = body.index(f"{MODEL}\r\n\r\n".encode()) + len(MODEL) + 4
    assert made == body[:at] + WANTED.encode() + body[at + len(model.encode()) :]


NASTY = st.sampled_from(
    [
        *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"--", b"\r\n--b-0123", b"--b-0123--", b'"', b"\\"),
        *(b";", b'name="model"', b"; name=model", b"; name*=utf-8''model", b"model", b" ", b"\t"),
        *(b"Content-Disposition: form-data; ", b'; filename="', b"\0", b"=", b"\x85", b"\x0b"),
    ]
)


@given(st.lists(st.tuples(st.integers(0, 260), st.integers(0, 12), NASTY | st.binary(max_size=2))))
def test_no_form_smuggles_another_model(edits: list[tuple[int, int, bytes]]) -> None:
    """A form is cut and patched at will: what is not refused has the target's model alone in it,
    for each parser that does not refuse it.
    """
    body = form((FILE, b"sound"), (MODEL, b"asked"), (f'{NAME}"prompt"', b"hm"))
    for at, gone, put in edits:
        body = body[:at] + put + body[at + gone :]
    try:
        made = rewritten(body)
    except InvalidRequest:
        return
    assert set(models(made)) == {WANTED.encode()}
