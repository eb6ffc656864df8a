"""From what was noted in one file to findings: who is behind each, by the resolver of the policy.

A model's id says who made it; whom it is asked of is told by what stands beside it, by the form of
the id, or by what else the same file names. Where nothing does, the channel is unknown.
"""

from __future__ import annotations

import re

from gateway.domain.identity import SELF, UNKNOWN, ChannelFacts, Identity, Locality, Party, Role
from gateway.readiness.scan.finding import Confidence, Finding, Reach, Signal
from gateway.readiness.scan.notes import Note, Notes
from gateway.vendors import grammar
from gateway.vendors.catalog import Catalog
from gateway.vendors.resolve import resolve
from gateway.vendors.signals.table import Sign, Signals

_ID = re.compile(r"[A-Za-z0-9~][\w.:/@+~-]*")
_BEDROCK = re.compile(
    r"(?:(?:us|eu|apac|jp|au|ca|in|us-gov|global)\.)?[a-z][a-z0-9]*\.[a-z][a-z0-9.-]*(?::\d+)*(?::\d+k)?"
)
_BEDROCK_ARN = re.compile(r"arn:aws[\w-]*:(?:bedrock|sagemaker):[\w-]*:\d*:([\w-]+)/(.*)")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
"""A path of modules."""
_VERSION = re.compile(r"-v\d+(?::\d+)*\Z|:\d+\Z")
_DIGIT = re.compile(r"\d")
_TESTS = re.compile(
    r"(?:\A|/)(?:tests?|testdata|fixtures?|__tests__|spec)/|[._-](?:test|spec)\.\w+\Z"
)
_ORDER = (Signal.CLIENT, Signal.HOST, Signal.PACKAGE, Signal.TOOL, Signal.VARIABLE, Signal.KEY)
_AZURE = "a deployment's name says nothing of the developer"
_WHO = {
    UNKNOWN: "which vendor it reaches is said elsewhere, if at all",
    "microsoft": _AZURE,
    "amazon": "the account says which developer's model answers there, not the name",
}


def findings(notes: Notes, catalog: Catalog) -> list[Finding]:
    """All findings of one file, in the order of places; the same thing of one line once."""
    judged = _Judged(notes, catalog)
    found: dict[tuple[int, Signal, str, str, str], Finding] = {}
    for note in notes.taken:
        finding = judged.model(note) if note.signal is Signal.MODEL else judged.named(note)
        if finding is None:
            continue
        identity = finding.identity
        key = (note.place[0], note.signal, finding.value, identity.channel, identity.developer)
        found.setdefault(key, finding)
    return sorted(found.values(), key=lambda one: (one.line, one.column, one.signal, one.value))


class _Judged:
    """The rest of a file, as far as it tells whom a model is asked of."""

    def __init__(self, notes: Notes, catalog: Catalog) -> None:
        self._path = notes.path
        self._signals: Signals = notes.signals
        self._catalog = catalog
        self._signs = {
            signal: {note.sign for note in notes.taken if note.signal is signal and note.sign}
            for signal in _ORDER
        }
        self._spoken = any(self._signs.values())

    def named(self, note: Note) -> Finding | None:
        """A finding of a name that a table knows."""
        if note.sign is None:
            return None
        identity = by_itself(note.sign, self._catalog)
        reach = Reach.TRANSITIVE if note.transitive else reach_of(identity)
        return _finding(self._path, note, identity, reach, note.confidence)

    def model(self, note: Note) -> Finding | None:
        """A finding of a model's id, where it is one."""
        identity = self._identity(note)
        if identity is None:
            return None
        known = identity.developer != UNKNOWN
        confidence = Confidence.HIGH if known and note.named else Confidence.MEDIUM
        if identity.channel == UNKNOWN or not known:
            confidence = Confidence.MEDIUM if note.named else Confidence.LOW
        return _finding(self._path, note, identity, reach_of(identity), confidence)

    def _identity(self, note: Note) -> Identity | None:
        if not note.named and not note.sure and not self._plausible(note.value):
            return None
        id = note.value
        arn = _BEDROCK_ARN.fullmatch(id)
        if arn is not None:
            model = arn[2] if arn[1] == "foundation-model" else id
            return self._resolved(model, "amazon", "bedrock")
        if not _ID.fullmatch(id) or (_DOTTED.fullmatch(id) and not self._is_bedrock(id)):
            return None
        channel, provider, model = self._channel(note)
        identity = self._resolved(model, channel, provider)
        if identity.developer == UNKNOWN:
            # A name of the operator's own, at a client that was seen: an Azure deployment.
            own = note.sure and note.named and channel not in (SELF, UNKNOWN)
            return identity if own else None
        return identity if self._is_model(note, identity, model) else None

    def _plausible(self, id: str) -> bool:
        """Whether a string that nothing calls a model is worth a look."""
        if id.startswith("arn:") or id.endswith(":0"):
            return True
        return self._spoken and "-" in id and _DIGIT.search(id) is not None

    def _is_model(self, note: Note, identity: Identity, model: str) -> bool:
        """Whether an id that is of a known family is meant as a model here."""
        tokens = grammar.tokens(identity.model)
        if any(tuple(tokens[:end]) in self._signals.tools for end in range(2, len(tokens) + 1)):
            return False
        weak = bool(tokens) and tokens[0] in self._signals.weak
        if len(tokens) < 2 and not note.sure:
            return False
        if note.named:
            return not weak or self._spoken or "/" in model
        if weak or "/" in model or not _DIGIT.search(identity.model):
            return False
        return _TESTS.search(self._path) is None

    def _channel(self, note: Note) -> tuple[str, str | None, str]:
        """The channel that a model is asked of, whose grammar its id has, and the id there."""
        id = note.value
        sign = note.sign
        lead, slash, rest = id.partition("/")
        route = self._signals.routes.get(lead.lower()) if slash else None
        if route is not None and (sign is None or sign.channel == UNKNOWN):
            bare = self._is_route(lead, rest)
            if bare:
                return route, "ollama" if lead.startswith("ollama") else lead.lower(), rest
        if sign is not None and sign.channel != UNKNOWN:
            provider = "huggingface" if sign.channel == SELF and slash else None
            if sign.channel == SELF and not slash:
                provider = "ollama"
            return sign.channel, provider, id
        if self._is_bedrock(id):
            return "amazon", "bedrock", id
        return self._nearby(id), None, id

    def _is_route(self, lead: str, rest: str) -> bool:
        """Whether what stands before the slash says who is asked, and not who made the model: a
        router's ids, and those of published weights, begin with the maker.
        """
        vendor = self._catalog.canonical(lead)
        makes = vendor is not None and self._catalog.trains(vendor) and vendor == lead.lower()
        if not makes:
            return True
        routed = {sign.channel for signs in self._signs.values() for sign in signs}
        return not routed & {"openrouter", "vercel", "huggingface", "github", "replicate"}

    def _is_bedrock(self, id: str) -> bool:
        if not _BEDROCK.fullmatch(id.lower()):
            return False
        parsed = grammar.parse(id, "amazon")
        vendor = self._catalog.canonical(parsed.publisher or "")
        if vendor is None or not self._catalog.trains(vendor) or "-" not in id:
            return False
        known = self._catalog.family(grammar.tokens(parsed.name))
        return known is not None or _VERSION.search(id) is not None

    def _nearby(self, id: str) -> str:
        """The one channel of this file that can serve the model, by the surest of its signs."""
        maker = self._resolved(id, UNKNOWN, None).developer
        if maker == UNKNOWN:
            return UNKNOWN
        for signal in _ORDER:
            signs = {s for s in self._signs[signal] if s.channel not in (UNKNOWN, SELF)}
            own = {s.channel for s in signs if s.developer == maker}
            carriers = {s.channel for s in signs if s.developer == UNKNOWN}
            for channels in (own, carriers):
                if len(channels) == 1:
                    return channels.pop()
        return UNKNOWN

    def _resolved(self, model: str, channel: str, provider: str | None) -> Identity:
        locality = Locality.SOVEREIGN if channel == SELF else Locality.CLOUD
        facts = ChannelFacts(channel, channel, "openai", locality, provider)
        return resolve(model, facts, self._catalog)


def by_itself(sign: Sign, catalog: Catalog) -> Identity:
    """Who is behind a name that says vendors and no model."""
    ours = sign.channel == SELF
    maker = Role.WEIGHTS if ours else Role.DEVELOPER
    parties = [(Role.CHANNEL, sign.channel), (maker, sign.developer)]
    return Identity(
        channel=sign.channel,
        developer=sign.developer,
        model="",
        lineage=(),
        locality=Locality.SOVEREIGN if ours else Locality.CLOUD,
        parties=tuple(Party(role, id, catalog.jurisdictions(id)) for role, id in parties),
        source="signals",
    )


def reach_of(identity: Identity) -> Reach:
    same = identity.channel == identity.developer != UNKNOWN or identity.channel == SELF
    return Reach.DIRECT if same else Reach.CHANNEL


def _finding(
    path: str, note: Note, identity: Identity, reach: Reach, confidence: Confidence
) -> Finding:
    line, column = note.place
    return Finding(
        path=path,
        line=line,
        column=column,
        signal=note.signal,
        value=note.value,
        identity=identity,
        reach=reach,
        confidence=confidence,
        registry=note.registry,
        via=note.via,
        count=note.count,
        undetermined=_unsaid(identity),
    )


def _unsaid(identity: Identity) -> str:
    """What nobody can tell from here."""
    if identity.channel == UNKNOWN and identity.developer == UNKNOWN:
        return _WHO[UNKNOWN]
    if identity.channel == UNKNOWN:
        return "which channel the model is asked of is not said here"
    if identity.developer == UNKNOWN:
        return _WHO.get(identity.channel, "which developer's model answers there is not said here")
    return ""
