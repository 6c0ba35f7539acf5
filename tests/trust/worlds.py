"""Random rules and asks for the property tests, small enough that rules and asks often meet."""

from hypothesis import strategies as st

from watchword.trust.model import Rule, TrustDocument
from watchword.trust.rules import Ask

from .conftest import document, service

SCOPES = ("r", "w", "x")
CALLERS = ("posts", "web")

scopes = st.frozensets(st.sampled_from(SCOPES))
some_scopes = st.frozensets(st.sampled_from(SCOPES), min_size=1)


@st.composite
def rules(draw: st.DrawFn) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            name=f"services.users.allow[{index}]",
            caller=draw(st.sampled_from(CALLERS)),
            scopes=draw(scopes),
            on_behalf_of=draw(st.sampled_from(["person", "service", "any"])),
            when_subject_has=draw(st.none() | some_scopes),
            max_chain=draw(st.integers(1, 8)),
            lifetime=draw(st.sampled_from([1, 60, 120, 300])),
            act_as=draw(st.sampled_from(["actor", "actor", "subject"])),
        )
        for index in range(draw(st.integers(0, 4)))
    )


@st.composite
def documents(draw: st.DrawFn) -> TrustDocument:
    return document(
        service("users", *SCOPES, allow=draw(rules()), secret_sha256=("1" * 64,)),
        *(service(name, *SCOPES, secret_sha256=(str(n) * 64,)) for n, name in enumerate(CALLERS, 2)),
    )


@st.composite
def asks(draw: st.DrawFn, trust: TrustDocument) -> Ask:
    held = draw(st.none() | scopes)
    names = [f"service|{name}" for name in ("posts", "web", *"abcdefghi")]
    return Ask(
        caller=draw(st.sampled_from(CALLERS)),
        callee=trust.services["users"],
        kind="service" if held is None else draw(st.sampled_from(["person", "service"])),
        subject_scope=held,
        requested=draw(st.none() | scopes),
        actors=()
        if held is None
        else tuple(draw(st.lists(st.sampled_from(names), max_size=9, unique=draw(st.booleans())))),
    )


@st.composite
def worlds(draw: st.DrawFn) -> tuple[TrustDocument, Ask]:
    trust = draw(documents())
    return trust, draw(asks(trust))
