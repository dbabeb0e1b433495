"""The page follows reads, tells events and replays states exactly as Python does."""

import json

import msgspec
import pytest
from tests.diagram.conftest import OpenPage

from oarlock.diagram.sentences import sentence
from oarlock.diagram.whynot import why_not
from oarlock.trace.loaded import Trace
from oarlock.trace.provenance import why
from oarlock.trace.state import states_at


def test_sentences_are_the_same(open_page: OpenPage, run: Trace) -> None:
    """Every event of a run reads the same in the terminal and in the page."""
    page = open_page()
    told = page.evaluate(
        """async () => {
          const { sentence } = await import("oarlock/words.js");
          return oarlock.run.events.map((event) => sentence(oarlock.extras, event, oarlock.run.header.nodes));
        }"""
    )
    for event, text in zip(run.events, told, strict=True):
        assert text == sentence(event, run.header.nodes)


@pytest.mark.timeout(400)
def test_reasons_are_the_same(open_page: OpenPage, run: Trace) -> None:
    """For one event in five, and what each changed, the page finds the steps that Python finds, in their order."""
    page = open_page()
    asked = run.events[::5]
    questions = [(event.id, "") for event in asked]
    questions += [
        (event.id, name) for event in asked if event.w for name in ("commit", "term", "role") if getattr(event.w, name)
    ]
    found = page.evaluate(
        """async (questions) => {
          const { why } = await import("oarlock/provenance.js");
          return questions.map(([id, variable]) => {
            const { steps, collapsed, unresolved } = why(oarlock.run, oarlock.extras, id, variable, 10000);
            return [
              steps.map((step) => [step.event.id, step.rules, step.because.map((each) => [each.variable, each.id]), step.depth]),
              collapsed.map((each) => [each.server, each.variable, each.id]),
              unresolved.map((each) => [each.variable, each.id]),
            ];
          });
        }""",
        questions,
    )
    for (event_id, variable), (steps, collapsed, unresolved) in zip(questions, found, strict=True):
        wanted = why(run, event_id, variable)
        assert steps == [
            [step.event.id, step.rules, [[each.variable, each.event_id] for each in step.because], step.depth]
            for step in wanted.steps
        ], (event_id, variable)
        assert collapsed == [[each.server, each.variable, each.event_id] for each in wanted.collapsed]
        assert unresolved == [[each.variable, each.event_id] for each in wanted.unresolved]


def test_what_was_missing_is_the_same(open_page: OpenPage, run: Trace) -> None:
    """Asked at many moments why nobody leads, or an index is not committed, page and Python name the same."""
    page = open_page()
    asked = [
        (question, at) for at in range(0, len(run), 53) for question in ("leader", "index 3 committed", "9", "400")
    ]
    found = page.evaluate(
        """async (asked) => {
          const { whyNot } = await import("oarlock/whynot.js");
          return asked.map(([question, at]) => whyNot(oarlock.run, oarlock.extras, question, at));
        }""",
        asked,
    )
    for (question, at), answer in zip(asked, found, strict=True):
        wanted = why_not(run, question, at)
        missing = [
            {"sentence": each.sentence, "id": each.event_id} | ({"rule": each.rule} if each.rule else {})
            for each in wanted.missing
        ]
        assert answer == {"sentence": wanted.sentence, "missing": missing}, (question, at)


def test_states_are_the_same(open_page: OpenPage, run: Trace) -> None:
    """Wherever the cursor stands, forwards and backwards, the states are those that Python replays."""
    page = open_page()
    positions = [*range(0, len(run), 97), *range(len(run) - 1, 0, -211)]
    found = page.evaluate(
        """(positions) => positions.map((position) => {
          const { servers, down } = oarlock.run.track.at(position);
          return structuredClone([Object.fromEntries(servers), [...down].sort()]);
        })""",
        positions,
    )
    for position, (servers, down) in zip(positions, found, strict=True):
        wanted = states_at(run, position)
        assert down == sorted(wanted.down)
        assert servers.keys() == wanted.states.keys()
        for name, state in wanted.states.items():
            plain = json.loads(msgspec.json.encode(state))
            shown = {field: value for field, value in servers[name].items() if field in plain}
            assert shown == plain
