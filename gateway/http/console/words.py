"""How values are written on the console's pages."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

from gateway.http.readiness import MissingState

_KB = 1000.0


def web_address(text: str | None) -> str | None:
    """The text where it is an address of the web, which may be a link; anything else that an
    operator or a file wrote stays words.
    """
    if not text or any(sign.isspace() or not sign.isprintable() for sign in text):
        return None
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError:
        return None
    return text if parts.scheme in ("http", "https") and host else None


def host(address: str) -> str:
    """The host of a web address."""
    return urlsplit(address).hostname or ""


def moment(value: datetime | str | None) -> datetime | None:
    """An instant as the API or a line of the log has it; None for what is none."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if value is None:
        return None
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def iso(value: datetime | str | None) -> str:
    """RFC 3339 in UTC, for machines."""
    at = moment(value)
    return "" if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(value: datetime | str | None) -> str:
    """Hours, minutes and seconds, UTC."""
    at = moment(value)
    return "" if at is None else at.strftime("%H:%M:%S")


def day_and_minute(value: datetime | str | None) -> str:
    """As short as it is still clear: ``1 Dec 2026 00:00 UTC``."""
    at = moment(value)
    return "" if at is None else f"{at.day} {at.strftime('%b %Y %H:%M')} UTC"


def lasted(microseconds: int | None) -> str:
    """A duration that people compare: ``45 ms``, ``1.2 s``."""
    if microseconds is None:
        return ""
    milliseconds = microseconds / 1000
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def plain(word: str) -> str:
    """A name of the gateway's own as people write it: ``vendor.banned``, ``policy_denied``."""
    return word.replace("_", " ").replace(".", " ")


def size(count: int) -> str:
    """Bytes: ``98 MB``, ``1.4 GB``."""
    value, units = float(count), iter(("B", "kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= _KB and unit != "TB":
        value, unit = value / _KB, next(units)
    return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"


def counted(count: int, one: str, many: str | None = None) -> str:
    """``1 model``, ``1,200 models``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def share(part: float | None) -> str:
    """As ``percent``, of a share that may not be known."""
    return "–" if part is None else percent(int(part * 10_000), 10_000)


def lacking(row: MissingState) -> str:
    """What keeps requests from being served by a local model, behind their number."""
    of = f" of {row.app}" if row.app else ""
    asked = f"{of} for {row.model}"
    said = {
        "capability": f"need {row.detail}",
        "context": f"are longer than {row.detail}",
        "other vectors": "need vectors of its own space",
        "no local target": "have no local target",
        "policy": f"are kept from it by policy: {row.detail}",
        "unconfigured": "are for a model that is not configured any more",
    }
    return f"{asked} {said[row.why]}"


def percent(part: int, whole: int) -> str:
    """A share, of which neither none nor all is ever said by rounding."""
    if whole == 0:
        return "0 %"
    share = 100 * part / whole
    if 0 < share < 1:
        return "< 1 %"
    if 99 < share < 100:
        return "> 99 %"
    return f"{share:.0f} %"
