"""Each message that the code raises has an entry in docs/messages.md, with what to do about it."""

from __future__ import annotations

import ast
import re

import pytest

from dev import messages as collected
from dev.messages import (
    CHOSEN,
    CHOSEN_WHEN_RAISED,
    CLASSES,
    GROUPS,
    PAGE,
    PASSED_ON,
    PROBLEMS,
    REMEDIES,
    Message,
    messages,
    modules,
    sites,
)
from tests.connection.cases import CASES_BY_TOPIC

MESSAGES = messages()
CONNECTION = [one for one in MESSAGES if one.module.startswith("connection.")]
PLACEHOLDER = re.compile(r"<[^<>]*>")
BY_HAND_TOPIC = "The kind of credential"
"""The topic of connection problems whose messages are put together from parts."""


def test_page_is_up_to_date() -> None:
    """docs/messages.md is what ``python -m dev.messages`` writes now."""
    assert PAGE.read_text() == collected.text()


def test_each_module_that_raises_has_a_group() -> None:
    """The page has a heading, with when its errors are raised, for each module that raises errors, and for no other."""
    raising = {name for name in modules() for function, _ in sites(name) if f"{name}.{function.name}" not in PASSED_ON}
    assert raising == GROUPS.keys()


def test_each_message_says_what_failed_and_what_to_do() -> None:
    """No entry consists of placeholders, and each says what to do."""
    assert len(MESSAGES) > 150
    for one in MESSAGES:
        for text in (one.meaning, one.remedy):
            assert re.search(r"\w{2,}", PLACEHOLDER.sub("", text)), one


def test_each_class_has_a_message() -> None:
    """Each class of errors has an entry, except base classes and those that the response decides."""
    shown = {one.kind for one in MESSAGES}
    by_response = {"ImsApiError", "ImsThrottledError", "ImsServiceError", "ImsRequestError", "ImsNotFoundError"}
    assert CLASSES - shown == by_response | {"ImsJobError"}
    assert CHOSEN in shown


def test_words_by_hand_are_needed() -> None:
    """Each entry of the tables by hand is used, so none is left when its message is gone."""
    assert REMEDIES.keys() == {part for part in REMEDIES if any(part in one.problem for one in MESSAGES)}
    told = {(one.module, one.advice or one.problem.partition(". ")[2]) for one in MESSAGES}
    assert set(CHOSEN_WHEN_RAISED) <= told
    assert all(any(words in one.problem for one in MESSAGES) for words in PROBLEMS.values())
    passed_on = {f"{name}.{function.name}" for name in modules() for function, _ in sites(name)}
    assert PASSED_ON.keys() <= passed_on


def test_a_class_in_a_variable_is_found() -> None:
    """A variable that has the class of an error is called as the program that collects the messages expects it."""
    calls = {
        ast.unparse(node.func)
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and any(one.arg == "advice" for one in node.keywords)
    }
    assert calls - {*CLASSES, CHOSEN} <= {"_job_error", "super().__init__", "refusal._replace"}


def pattern(one: Message) -> re.Pattern[str]:
    """Return the pattern of a message."""
    return re.compile("(?s)" + ".*".join(re.escape(part) for part in PLACEHOLDER.split(one.problem)))


@pytest.mark.parametrize("topic", [topic for topic in CASES_BY_TOPIC if topic != BY_HAND_TOPIC])
def test_messages_of_malformed_connections_have_an_entry(topic: str) -> None:
    """The message of each malformed connection of the tests is one of the page."""
    patterns = [pattern(one) for one in CONNECTION]
    for case in CASES_BY_TOPIC[topic]:
        assert any(one.fullmatch(case.problem) for one in patterns), case.problem
