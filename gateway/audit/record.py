"""What is written down of one request. No prompt, no answer, no key."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gateway.domain.decision import Decision, Handling, Labels, Mode, Verdict
from gateway.domain.identity import Identity, Locality, Party, Role
from gateway.domain.target import Target
from gateway.errors import GatewayError


class JudgedParty(msgspec.Struct, frozen=True, array_like=True):
    """One party of a target, in the log a list of three: role, vendor, jurisdictions (sorted)."""

    role: Role
    vendor: str
    jurisdictions: tuple[str, ...] = ()


class JudgedTarget(msgspec.Struct, frozen=True, omit_defaults=True):
    """A configured target, who was behind it, and what was decided: enough to decide again.

    ``left_out`` is empty where it was in the plan. The words are those of ``Identity`` and
    ``Decision``; ``party`` and ``role`` are whom the deciding rule fell on.
    """

    target: str
    channel: str
    developer: str
    model: str
    locality: Locality
    parties: tuple[JudgedParty, ...]
    verdict: Verdict
    rule: str
    party: str
    role: Role
    left_out: str = ""
    lineage: tuple[str, ...] = ()
    region: str | None = None
    reason: str = ""
    mode: Mode = Mode.ENFORCE
    handling: Handling | None = None
    waiver: str | None = None
    matched: tuple[str, ...] = ()
    shadowed: tuple[str, ...] = ()

    @classmethod
    def of(cls, target: Target, decision: Decision, left_out: str = "") -> JudgedTarget:
        identity = target.identity
        return cls(
            target=target.id,
            channel=identity.channel,
            developer=identity.developer,
            model=identity.model,
            locality=identity.locality,
            parties=tuple(
                JudgedParty(party.role, party.vendor, tuple(sorted(party.jurisdictions)))
                for party in identity.parties
            ),
            verdict=decision.verdict,
            rule=decision.rule,
            party=decision.vendor,
            role=decision.role,
            left_out=left_out,
            lineage=identity.lineage,
            region=identity.region,
            reason=decision.reason,
            mode=decision.mode,
            handling=decision.handling,
            waiver=decision.waiver,
            matched=decision.matched,
            shadowed=decision.shadowed,
        )

    @property
    def identity(self) -> Identity:
        """Who was behind the target when it was judged."""
        return Identity(
            channel=self.channel,
            developer=self.developer,
            model=self.model,
            lineage=self.lineage,
            locality=self.locality,
            parties=tuple(
                Party(party.role, party.vendor, frozenset(party.jurisdictions))
                for party in self.parties
            ),
            region=self.region,
        )

    def differs(self, decision: Decision) -> bool:
        """Whether a decision on the same target says anything else than was written down."""
        again = (decision.verdict, decision.rule, decision.vendor, decision.role, decision.mode)
        written = (self.verdict, self.rule, self.party, self.role, self.mode)
        how = (decision.handling, decision.waiver, decision.matched, decision.shadowed)
        return (again, how) != (written, (self.handling, self.waiver, self.matched, self.shadowed))


class Seam(msgspec.Struct, frozen=True):
    """Where an answer broke off: behind how many bytes (UTF-8) of the assistant's text, and about
    how many tokens.
    """

    byte: int
    token: int


class AttemptRecord(msgspec.Struct, frozen=True):
    """One attempt. Times in microseconds; ``first_content_us`` is ``None`` where none came. The
    tokens are those that its target told of, ``None`` where it told none: then about
    ``seen_tokens`` came. ``stored_tokens`` of the prompt were kept for others, at a price.

    ``outcome`` is ``served``, ``cancelled`` or the kind of the failure. ``model`` is what the
    answer called its model, ``provider`` to whom a router said that it sent the request. ``seam``
    is where it broke off, where the app had been sent something.
    """

    target: str
    outcome: str
    duration_us: int
    revision: str
    first_content_us: int | None = None
    status: int | None = None
    model: str | None = None
    provider: str | None = None
    seam: Seam | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    stored_tokens: int | None = None
    seen_tokens: int = 0


class Record(msgspec.Struct):
    """One request, filled while it is served and written once in the end. Without any fraction, so
    that there is one way to write it.

    ``at`` is the instant that was decided for, ``policy`` the revision of the policy that decided
    last; ``api`` the path that was asked, behind the version; ``client_request_id`` what the app
    calls the request, ``traceparent`` what its tracing does (W3C); ``key`` the id of the key that
    it showed, ``peer`` the address that it came from, where it showed none that is good. ``status``
    is the HTTP status that it got, ``cost`` in millionths of the currency of the prices, ``None``
    where that is not known. ``outcome`` is ``served``, ``cancelled``, ``broken`` (the stream ended
    in an error event) or the code of the error that went back. ``served_by`` is the target that
    ended the answer; the attempts before it tell where they broke off. ``sent_characters`` of the
    assistant's text had been sent. ``prompt_hmac`` and ``content``, the sha256 of the file with the
    encrypted bodies (``lost`` where that could not be written), are there where the configuration
    wants them.

    ``needs`` are the capabilities that the request took, sorted. ``drill`` is the id of the drill
    that it was part of. ``origin`` is ``canary``, ``drill`` or ``eval`` where the gateway asked by
    itself, and no app; ``repeats`` the request that a canary asked once more, and ``differs`` the
    words, sorted, for what its answer did otherwise than the app's. ``unwritten`` names the fields
    that could not be written: only the log fills it.
    """

    id: str
    at: datetime
    api: str
    model: str = ""
    stream: bool = False
    client_request_id: str | None = None
    traceparent: str | None = None
    key: str | None = None
    peer: str | None = None
    labels: Labels = Labels()
    policy: str = ""
    targets: tuple[JudgedTarget, ...] = ()
    attempts: list[AttemptRecord] = msgspec.field(default_factory=list)
    outcome: str = "cancelled"
    status: int | None = None
    served_by: str | None = None
    locality: str | None = None
    failover: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: int | None = None
    sent_characters: int = 0
    duration_us: int = 0
    prompt_hmac: str | None = None
    content: str | None = None
    needs: tuple[str, ...] = ()
    drill: str | None = None
    origin: str | None = None
    repeats: str | None = None
    differs: tuple[str, ...] = ()
    unwritten: tuple[str, ...] = ()

    def failed(self, error: GatewayError) -> None:
        """It ended in an error that went back."""
        self.outcome = error.code or error.type
