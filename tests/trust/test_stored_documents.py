"""Any document: what is stored is what was read, and decides the same."""

from hypothesis import given, settings

from watchword.trust.document import digest, from_json, to_json
from watchword.trust.model import TrustDocument
from watchword.trust.rules import Ask

from .test_rules_properties import outcome
from .worlds import worlds


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_a_stored_document_decides_as_the_one_that_was_read(world: tuple[TrustDocument, Ask]) -> None:
    trust, ask = world
    again = from_json(to_json(trust))
    assert again == trust
    assert digest(again) == digest(trust)
    assert outcome(again, ask) == outcome(trust, ask)
