"""What operators see of a running gateway: vendors as policy has them, targets and local models as
they stand, keys, and what became of requests.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel

from gateway.access.operators import OperatorRole
from gateway.domain.identity import Role
from gateway.http.state import LocalState, State


class ProcessState(BaseModel):
    """One serving process: the policy and the configuration that it has in force, and why not the
    newest.
    """

    pid: int
    policy: str
    configuration: str
    problem: str | None
    configuration_problem: str | None


class Status(State):
    """With all serving processes; ``url`` is where apps reach them."""

    url: str
    processes: list[ProcessState]


class PolicyFileState(BaseModel):
    """A file that the policy is made of."""

    name: str
    bytes: int
    sha256: str


class PolicyInForce(BaseModel):
    """``problem`` says why the newest version on disk is not in force. ``signed`` says whether it
    must be signed: then a toggle takes the key, and so the command line.
    """

    revision: str
    mode: Literal["enforce", "shadow"]
    default: Literal["allow", "risky", "deny"]
    loaded_at: datetime
    problem: str | None
    rules: int
    waivers: int
    designations: int
    next_change: datetime | None
    signed: bool
    files: list[PolicyFileState]


class Standing(StrEnum):
    """What policy says of a vendor, the worst first."""

    BANNED = "banned"
    """A rule denies it."""
    DEFAULT_DENIED = "default-denied"
    """No rule allows it, and the default is to deny."""
    RISKY = "risky"
    ALLOWED = "allowed"


class VendorState(BaseModel):
    """A vendor that a configured target involves, or that is banned. ``standing`` is the worst that
    policy says of it now for requests without labels, by ``rule`` (``default`` where none says
    anything), which is written at ``source`` and has the words of the operator. ``since`` and
    ``until`` are the rule's (None: ever); ``everywhere`` says that no target of the vendor stands
    otherwise. ``roles`` are the ones that it has in ``targets``, which are the ids of the
    configured targets that involve it. ``conditional`` are other rules that name it and hold for
    some requests or models only. ``liftable`` says that `unban` would lift it, ``toggled`` that
    the rule is a toggle's.
    """

    vendor: str
    title: str
    standing: Standing
    everywhere: bool
    rule: str
    reason: str
    authority: str | None
    reference: str | None
    since: datetime | None
    until: datetime | None
    source: str
    roles: list[Role]
    targets: list[str]
    conditional: list[str]
    toggled: bool
    liftable: bool


class ModelMove(BaseModel):
    """What would become of one configured model: the target that serves it now, and then; None
    where nothing would. ``requests`` are those for it in the time that was looked at.
    """

    model: str
    now: str | None
    now_locality: str | None
    then: str | None
    then_locality: str | None
    moved: bool
    requests: int


class RequestShare(BaseModel):
    """Of the requests since ``since``: how many there were, and how many of these were served by a
    target that would be denied (``moved``), of which ``stranded`` were for a model that would be
    left with nothing.
    """

    since: datetime
    requests: int
    moved: int
    stranded: int


class Preview(BaseModel):
    """What a ban would change, by nobody's labels. ``denied`` are the targets that would be denied
    and are not now; ``models`` all configured ones, those that would move first; ``stranded`` those
    that would be left with nothing.
    """

    vendor: str
    title: str
    roles: list[Role]
    denied: list[str]
    models: list[ModelMove]
    stranded: list[str]
    recent: RequestShare


class Toggled(BaseModel):
    """A ban was made or lifted: ``revision`` is the policy's that follows, in force in all serving
    ``processes`` after ``seconds``; those that have not taken it within the time are ``waiting``.
    """

    vendor: str
    banned: bool
    revision: str
    seconds: float
    processes: int
    waiting: list[ProcessState]


class StatusChangeState(BaseModel):
    at: datetime
    status: str
    source_url: str
    note: str


class DesignationState(BaseModel):
    """A published fact about a vendor. ``status`` is as of now (None: not yet anything); ``rules``
    are those of the policy that refer to it, ``targets`` how many configured ones involve the
    vendor.
    """

    id: str
    vendor: str
    authority: str
    scope: list[str]
    status: str | None
    history: list[StatusChangeState]
    statute: str
    source_url: str
    retrieved: str
    note: str
    rules: list[str]
    targets: int


class Breaker(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"
    """It was open; the next attempt decides."""


class TargetState(BaseModel):
    """One target of a model. ``place`` is its place in the plan, from 1, and None where it is left
    out, for ``left_out``. Verdict and rule are for nobody's labels. ``wait`` are the seconds until
    it may be tried again, None where time alone does not help. ``credentials`` says that its
    channel has them, or needs none; ``ready`` that a request could be sent there now, if policy
    lets it.
    """

    target: str
    channel: str
    developer: str
    locality: str
    place: int | None
    left_out: str
    verdict: str
    handling: str | None
    rule: str
    reason: str
    reference: str | None
    breaker: Breaker
    failures_in_row: int
    rests: str | None
    misconfigured: bool
    wait: float | None
    credentials: bool
    ready: bool
    busy: int


class ModelTargets(BaseModel):
    """A model that apps ask for, with its targets as a request would try them: those of the plan in
    its order, then those that are left out. ``serves`` is the first, None where there is none.
    """

    model: str
    pattern: bool
    serves: str | None
    locality: str | None
    first_choice: bool
    targets: list[TargetState]


class LocalModel(LocalState):
    """With what the supervisor says of the worker (``state``, ``detail``, ``restarts``, ``pid``),
    and the worker of its work: requests that have a slot are ``active``, those that wait for one
    are ``waiting``. ``needs`` are the bytes that it is reckoned to need, wherever.
    """

    state: Literal["starting", "ready", "restarting", "unloaded", "failed", "stopped"]
    detail: str
    pid: int | None
    restarts: int
    needs: int
    active: int
    waiting: int
    tokens_per_second: float


class LabelsState(BaseModel):
    team: str | None
    app: str | None
    environment: str | None
    data_class: str | None
    tags: list[str]


class LimitsState(BaseModel):
    """None is no limit. ``budget`` is for a month, in millionths of the prices' currency."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent: int | None
    budget: int | None


class UsedState(BaseModel):
    """What a key, and those that it replaces, used in a ``month`` (UTC, ``2026-11``): ``cost`` in
    millionths of the prices' currency. ``running`` requests are under way.
    """

    month: str
    requests: int
    tokens: int
    cost: int
    running: int


class KeyState(BaseModel):
    """An app's key, without anything of its secret. ``good`` says whether it opens anything now."""

    id: str
    name: str
    created: datetime
    labels: LabelsState
    may_set: list[str]
    models: list[str]
    limits: LimitsState
    used: UsedState
    expires: datetime | None
    revoked: datetime | None
    heir: str | None
    good: bool


class NewKey(KeyState):
    """``key`` is told this once, and can never be told again."""

    key: str


class OperatorState(BaseModel):
    """An operator's key, without anything of its secret."""

    id: str
    name: str
    role: OperatorRole
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    heir: str | None
    good: bool


class NewOperator(OperatorState):
    """``key`` is told this once, and can never be told again."""

    key: str


class DecidedTarget(BaseModel):
    target: str
    locality: str
    verdict: str
    rule: str
    reason: str
    left_out: str


class Attempted(BaseModel):
    target: str
    outcome: str
    duration_us: int
    first_content_us: int | None
    status: int | None


class DecisionState(BaseModel):
    """A request that was, and why it went where it did; ``explanation`` says so in a sentence."""

    id: str
    at: datetime
    model: str
    api: str
    stream: bool
    key: str | None
    team: str | None
    app: str | None
    outcome: str
    status: int | None
    served_by: str | None
    locality: str | None
    failover: str | None
    policy: str
    explanation: str
    targets: list[DecidedTarget]
    attempts: list[Attempted]
    prompt_tokens: int | None
    completion_tokens: int | None
    duration_us: int


class Moment(BaseModel):
    """A span of time that begins at ``at``: answers by where they came from, those that were
    ``refused`` and those that ``failed`` (or were cancelled).
    """

    at: datetime
    cloud: int
    sovereign: int
    local: int
    refused: int
    failed: int


class TargetTraffic(BaseModel):
    """``first_choice`` of the requests were for a model whose first choice this target is."""

    target: str
    locality: str
    requests: int
    failovers: int


class Traffic(BaseModel):
    """The requests from ``since`` until ``until``, in spans of ``span`` seconds, oldest first."""

    since: datetime
    until: datetime
    span: int
    requests: int
    failovers: int
    moments: list[Moment]
    targets: list[TargetTraffic]
