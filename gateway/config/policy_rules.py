"""One validated policy file → the typed document that the policy room compiles."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.config.documents import Document, Steps
from gateway.config.policy_schema import (
    DesignationMatchSection,
    MatchSection,
    PolicyFile,
    RuleSection,
    TestSection,
    WaiverSection,
    WhenSection,
)
from gateway.domain.decision import Drain, Handling, Labels, Mode, Verdict
from gateway.domain.identity import Locality, Role
from gateway.policy.rules import (
    DEFAULT_ROLES,
    DesignationMatch,
    InFlight,
    Match,
    PolicyDocument,
    PolicyTest,
    Rule,
    Waiver,
    When,
    vendor_rule,
)
from gateway.vendors.designations import Status


def policy_document(document: Document, written: PolicyFile) -> PolicyDocument:
    """Every rule and waiver carries ``file:line`` as its source."""
    vendors = [
        vendor_rule(vendor, Verdict(verdict), _source(document, ("vendors", vendor), key=True))
        for vendor, verdict in written.vendors.items()
    ]
    rules = [
        _rule(rule, _source(document, ("rules", index, "id")))
        for index, rule in enumerate(written.rules)
    ]
    return PolicyDocument(
        source=document.file,
        rules=(*vendors, *rules),
        waivers=tuple(
            _waiver(waiver, _source(document, ("waivers", index, "id")))
            for index, waiver in enumerate(written.waivers)
        ),
        tests=tuple(_test(test) for test in written.tests),
        mode=Mode(written.mode) if written.mode is not None else None,
        default=Verdict(written.default) if written.default is not None else None,
        max_waiver_days=written.max_waiver_days,
        in_flight=InFlight(written.in_flight) if written.in_flight is not None else None,
    )


def _source(document: Document, path: Steps, *, key: bool = False) -> str:
    return f"{document.file}:{document.mark(path, key=key).line}"


def _rule(rule: RuleSection, source: str) -> Rule:
    return Rule(
        id=rule.id,
        match=_match(rule.match),
        verdict=Verdict(rule.verdict),
        when=_when(rule.when),
        reason=rule.reason or "",
        authority=rule.authority,
        reference=rule.reference,
        start=rule.start,
        end=rule.end,
        waivable=rule.waivable,
        handling=Handling(rule.handling) if rule.handling is not None else Handling.AVOID,
        drain=Drain(rule.drain.start, rule.drain.end) if rule.drain is not None else None,
        mode=Mode(rule.mode) if rule.mode is not None else Mode.ENFORCE,
        source=source,
    )


def _match(match: MatchSection) -> Match:
    return Match(
        vendor=_words(match.vendor),
        roles=frozenset(Role(r) for r in match.roles) if match.roles else DEFAULT_ROLES,
        jurisdiction=_words(match.jurisdiction),
        locality=frozenset(Locality(word) for word in match.locality or ()),
        region=_words(match.region),
        channel=_words(match.channel),
        model=tuple(match.model or ()),
        designation=_designation(match.designation),
    )


def _designation(match: DesignationMatchSection | None) -> DesignationMatch | None:
    if match is None:
        return None
    status = frozenset(Status(word) for word in match.status or (Status.IN_FORCE,))
    return DesignationMatch(
        id=_words(match.id),
        authority=_words(match.authority),
        scope=_words(match.scope),
        status=status,
    )


def _when(when: WhenSection | None) -> When:
    if when is None:
        return When()
    return When(
        team=_words(when.team),
        app=_words(when.app),
        environment=_words(when.environment),
        data_class=_words(when.data_class),
        tags=_words(when.tags),
    )


def _words(words: Sequence[str] | None) -> frozenset[str]:
    return frozenset(words or ())


def _waiver(waiver: WaiverSection, source: str) -> Waiver:
    return Waiver(
        id=waiver.id,
        rule=waiver.rule,
        vendor=waiver.vendor,
        owner=waiver.owner,
        approver=waiver.approver,
        reason=waiver.reason,
        granted=waiver.granted,
        expires=waiver.expires,
        when=_when(waiver.when),
        source=source,
    )


def _test(test: TestSection) -> PolicyTest:
    request = test.request
    labels = Labels(
        request.team,
        request.app,
        request.environment,
        request.data_class,
        frozenset(request.tags),
    )
    return PolicyTest(
        test.name, request.model, Verdict(test.expect.verdict), test.expect.rule, labels, request.at
    )
