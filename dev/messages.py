"""Write `docs/messages.md`, each error message of the code and what to do about it: `python -m dev.messages`."""

from __future__ import annotations

import ast
import itertools
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from airflow_provider_ims import exceptions
from airflow_provider_ims.exceptions import ImsError
from dev.console import echo
from dev.sandbox import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKAGE = ROOT / "airflow_provider_ims"
PAGE = ROOT / "docs" / "messages.md"

Function = ast.FunctionDef | ast.AsyncFunctionDef
CLASSES = {name for name, kind in vars(exceptions).items() if isinstance(kind, type) and issubclass(kind, ImsError)}
CHOSEN = "kind"
"""The variable that has the class of an error where the response or the outcome decides it."""

GROUPS = {
    "connection.environment": (
        "A connection in an environment variable",
        "The variable `AIRFLOW_CONN_...` has a value that is not a connection. Nothing was sent.",
    ),
    "connection.settings": (
        "The type and the extras of a connection",
        (
            "The connection has fields that this provider does not use, or is one of another service. Nothing was "
            "sent. [Connection problems](connection-problems.md) has examples of this and the next groups."
        ),
    ),
    "connection.endpoint": ("Region, endpoint and URL", "A field of the connection names no usable address."),
    "connection.kinds": ("The kind of credential", "The filled fields are those of no kind of credential, or of two."),
    "connection.parser": ("Key pairs", "A connection of type `alibaba_cloud` has two key pairs."),
    "connection.specifications": ("RAM policy", "The extra `role_policy` is not a policy that STS takes."),
    "connection.values": ("Values of fields", "A field of the connection has a value of another form."),
    "jobs.arguments": (
        "Arguments, when the DAG file is parsed",
        "An argument that is not a template is wrong: the DAG has an import error, and runs no task.",
    ),
    "jobs.polling": (
        "Times, and polls that fail",
        (
            "A time that cannot be right is an import error. A poll that fails does not end a wait: see "
            "[failed polls](waiting.md#failed-polls)."
        ),
    ),
    "jobs.catalog": ("Job types", "The job family does not exist, or cannot do what was asked for. Nothing was sent."),
    "operators.base": (
        "Options of operators, XComs",
        "An option has no effect, or the JobId of a submitted job did not reach Airflow.",
    ),
    "operators.upload": (
        "Registration of media",
        (
            "No MediaId came back. The request has a `ClientToken`, so Airflow may retry the task: see "
            "[the operator](upload.md#imsregistermediainfooperator)."
        ),
    ),
    "operators.job": ("The job type of an operator", "The `job_type` of ImsSubmitJobOperator is missing."),
    "jobs.parameters": (
        "Arguments, when the task runs",
        (
            "An argument cannot be right. It was checked before the call, so nothing was sent or billed. The message "
            "of a mapped task begins with its map index."
        ),
    ),
    "jobs.media": (
        "Media",
        "An argument that names media, or where an output goes, cannot be right. Nothing was sent or billed.",
    ),
    "jobs.response": ("The result path of ImsCallOperator", "A read may have been carried out; it costs nothing."),
    "hooks.ims": ("Hook", "The connection was not found, or a call that changes something got no response."),
    "api.client": (
        "The network",
        "No response came back. Whether a submission is repeated depends on how far it came.",
    ),
    "api.protocol": (
        "Responses that are errors",
        (
            "The service, or something in front of it, refused the call. The code decides the class: see "
            "[what a response means](errors.md#what-a-response-means)."
        ),
    ),
    "api.fetch": ("Temporary keys", "A role, the metadata service or a credentials URI returned no keys."),
    "api.credentials": ("Refresh of keys", "Keys could not be fetched for a reason that is not the service's."),
    "api.profiles": ("Profiles", "A credentials file on the machine that runs the task cannot be used."),
    "jobs.submission": (
        "Unknown submissions",
        "A job may exist and be billed: see [unknown submissions](errors.md#unknown-submissions).",
    ),
    "jobs.durable": (
        "The record of a submission",
        "The state store of Airflow could not be read or written: see [the record](durable.md#the-record).",
    ),
    "jobs.resume": (
        "Resume a job after a clear",
        "The key `ims_resume` cannot be obeyed: see [resume a job](durable.md#resume-a-job-after-a-clear).",
    ),
    "jobs.outcome": (
        "The end of a wait",
        "The job did not end well, or its end is not known: see [how a wait ends](waiting.md#how-a-wait-ends).",
    ),
    "verify.run": (
        "The command for verification",
        "An option of `python -m airflow_provider_ims.verify` cannot be right. Nothing was sent or billed.",
    ),
}
"""For each module that raises errors: the heading, and when its errors are raised. In the order of the page."""

PASSED_ON = {
    "exceptions.from_primitives": "an error of the triggerer, raised again on the worker",
    "api.client._submit": "why a submission is unknown: part of a message of jobs.submission",
    "api.fetch._send": "a message of the network, with the advice of the kind of credential",
    "api.profiles._credentials": "a message about the field of a profile, with advice about the profile",
    "operators.base.position_in_errors": "a message about an argument, behind the map index",
    "jobs.media._check_output": "a message about media, said of an output",
    "jobs.media.check_source": "a message about media, with the forms that a registration takes",
}
"""Functions that repeat the message of another error, and do not have one of their own."""

REMEDIES = {
    "IMS has no action that queries": "Leave out the wait: the job can be submitted only.",
    "IMS has no action that cancels": "Leave out `cancel_on_kill`, or do not cancel. The job goes on and is billed.",
    "IMS takes no less than": "Give a longer text.",
    "The action needs its content": "Give a value with content.",
    "The task was killed before": "Nothing is billed. Clear the task if it shall submit.",
    "No keys could be fetched": "Look at the traceback in the log: the error is not one of the service.",
    "see the log.": "Look at the traceback in the task's log: the error is not one of the service.",
    "The poll got no turn": (
        "Look at the rate limit of the connection and at the network; wait on with an ImsJobSensor."
    ),
    "Empty responses of a": "Leave out the argument.",
    "is not an http:// or https:// URL": "Give the URL of a file on a web server.",
}
"""What to do about messages whose text does not say it, by a part of the message."""

_KEYS = (
    "Look at the fields of this [kind of credential](connection.md#kinds-of-credentials), at what issues its keys, and "
    "at the [trust policy](connection.md#trust-policies-of-a-role) of the role."
)
CHOSEN_WHEN_RAISED = {
    ("connection.settings", "<unknown>"): "Rename or move it as the message says, or remove it.",
    ("connection.kinds", "<advice>"): (
        "For each kind that comes close, the message says which fields to fill in or empty. The table of the "
        "[kinds of credentials](connection.md#kinds-of-credentials) has all."
    ),
    ("jobs.media", "<remedy>"): (
        "Use oss://bucket/object, https://bucket.oss-<region>.aliyuncs.com/object or a media asset id (letters, "
        "digits, - and _)."
    ),
    ("api.protocol", "<advice>"): (
        "The message says what to do about the code. A refused key, signature or permission: [identity and keys in the "
        "log](connection.md#identity-and-keys-in-the-log), [permissions](connection.md#permissions). An invalid "
        "request: compare the arguments with the page of the action. Throttling: lower "
        "[Requests per second](performance.md#what-to-set). For support, note the RequestId."
    ),
    ("api.fetch", "<advice>"): _KEYS,
    ("api.fetch", "<kind>"): _KEYS,
    ("jobs.submission", "<attempt>"): (
        "Look at the log of the attempt for a JobId, then in the account's bill. The job is resumed by the command in "
        "the message; without a job, clearing the task submits."
    ),
    ("jobs.outcome", "<advice>"): (
        "The job may still run: an ImsJobSensor on its JobId waits on, which costs nothing. Without a state of the "
        "job, set `no_watermark_after`: see [videos without a watermark](waiting.md#videos-without-a-watermark)."
    ),
}
"""What to do about messages whose advice is chosen when they are raised, by module and placeholder."""

PROBLEMS = {
    "connection.kinds": (
        ": no kind of credential consists of <the filled fields>, or the chosen kind lacks one or does not use one."
    ),
    "operators.upload": "RegisterMediaInfo of <object> got no response that says whether it was carried out: <why>",
}
"""What failed, for messages that are put together when they are raised, by module."""

DEEPEST = 3
"""How many calls and variables are followed from an error to a text."""
MOST = 60
"""How many texts one message may have."""


@dataclass(frozen=True)
class Message:
    """A message of the code.

    :param module: the module, below the package
    :param function: the function that raises it
    :param kind: the class of the error, or :data:`CHOSEN`
    :param problem: what failed, with ``<name>`` for values
    :param advice: what to do; empty if the code does not separate it from the problem
    """

    module: str
    function: str
    kind: str
    problem: str
    advice: str

    @property
    def remedy(self) -> str:
        """What to do: the advice, what follows the first sentence, or the words of this file."""
        for part, words in REMEDIES.items():
            if part in self.problem:
                return words
        told = self.advice or self.problem.partition(". ")[2]
        return CHOSEN_WHEN_RAISED.get((self.module, told), told)

    @property
    def meaning(self) -> str:
        """What failed, without what to do."""
        first, stop, _ = self.problem.partition(". ")
        is_told_here = not self.advice and not any(part in self.problem for part in REMEDIES)
        return f"{first}." if stop and is_told_here else self.problem


@cache
def messages() -> tuple[Message, ...]:
    """Return all messages of the code, those of the emulator left out."""
    return tuple(dict.fromkeys(message for module in modules() for message in _messages_of(module)))


@cache
def modules() -> dict[str, ast.Module]:
    """Return the modules of the provider by their names below the package."""
    paths = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
        for path in sorted(PACKAGE.rglob("*.py"))
        if "emulator" not in path.parts
    }
    return {name: ast.parse(path.read_text()) for name, path in paths.items()}


def sites(module: str) -> Iterator[tuple[Function, ast.Call]]:
    """Yield each creation of an error in a module, with its function.

    :param module: name of the module below the package
    """
    for name in (*sorted(CLASSES), CHOSEN):
        yield from (pair for pair in _all_calls(module).get(name, []) if pair[1].args or pair[1].keywords)


def _functions(tree: ast.AST) -> Iterator[Function]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _messages_of(module: str) -> Iterator[Message]:
    patterns = {id(node.cls) for node in ast.walk(modules()[module]) if isinstance(node, ast.MatchClass)}
    for function, call in sites(module):
        if id(call.func) in patterns or f"{module}.{function.name}" in PASSED_ON:
            continue
        advice = next((one.value for one in call.keywords if one.arg == "advice"), None)
        for scope in scopes(module, function):
            kind = scope.class_of(call.func)
            problems = scope.texts(call.args[0])
            remedies = [""] if advice is None else scope.texts(advice)
            for problem, remedy in itertools.product(problems, remedies):
                yield Message(module, function.name, kind, _by_hand(module, problem), remedy)


def _by_hand(module: str, problem: str) -> str:
    """Return a problem with the words of :data:`PROBLEMS` in place of a placeholder that says all of it."""
    return problem.replace("<problem>", PROBLEMS[module]) if module in PROBLEMS else problem


def scopes(module: str, function: Function, depth: int = 0) -> list[Scope]:
    """Return a function as each of its callers in the same module calls it.

    :param module: name of the module
    :param function: the function
    :param depth: how many calls are followed so far
    """
    called = [] if depth == DEEPEST else list(_calls(module, function.name))
    parameters = [one.arg for one in (*function.args.args, *function.args.kwonlyargs) if one.arg not in {"self", "cls"}]
    found = []
    for caller, call in called:
        given = dict(zip(parameters, call.args, strict=False)) | {str(one.arg): one.value for one in call.keywords}
        for scope in scopes(module, caller, depth + 1):
            bound = {name: texts for name, node in given.items() if _says_something(texts := tuple(scope.texts(node)))}
            classes = {name: scope.class_of(node) for name, node in given.items() if name == CHOSEN}
            found.append(Scope(module, function, bound | {name: (kind,) for name, kind in classes.items()}))
    return found or [Scope(module, function, {})]


@cache
def _all_calls(module: str) -> dict[str, list[tuple[Function, ast.Call]]]:
    """Return the calls of a module by what they call, each with the function that has it."""
    found: dict[str, list[tuple[Function, ast.Call]]] = {}
    for function in _functions(modules()[module]):
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                found.setdefault(ast.unparse(node.func), []).append((function, node))
    return found


def _calls(module: str, name: str) -> Iterator[tuple[Function, ast.Call]]:
    for called in (name, f"self.{name}"):
        yield from (pair for pair in _all_calls(module).get(called, []) if pair[0].name != name)


def _says_something(texts: tuple[str, ...]) -> bool:
    return any(re.search(r"\w", re.sub(r"<[^>]*>", "", text)) for text in texts)


@dataclass(frozen=True)
class Scope:
    """Where an expression stands: it may name variables and parameters of a function, and constants of a module.

    :param module: name of the module
    :param function: the function
    :param bound: the texts that a caller gives for parameters
    """

    module: str
    function: Function
    bound: Mapping[str, tuple[str, ...]]

    def class_of(self, node: ast.expr) -> str:
        """Return the name of the error class, or :data:`CHOSEN` if a response decides it.

        :param node: the class
        """
        name = ast.unparse(node)
        return name if name in CLASSES else self.bound.get(name, (CHOSEN,))[0]

    def texts(self, node: ast.expr | None, depth: int = 0) -> list[str]:
        """Return the texts that an expression may be; a value that is not a text of the code is ``<its name>``.

        :param node: the expression
        :param depth: how many variables are followed so far
        """
        match node:
            case ast.Constant(value=str() | int() as value):
                return [str(value)]
            case ast.JoinedStr(values=parts):
                pieces = [one.value if isinstance(one, ast.FormattedValue) else one for one in parts]
                choices = [self.texts(piece, depth) for piece in pieces]
                return ["".join(one) for one in itertools.islice(itertools.product(*choices), MOST)]
            case ast.IfExp(body=one, orelse=other):
                return [text for text in (*self.texts(one, depth), *self.texts(other, depth)) if text]
            case ast.BoolOp(values=[one, *_]):
                return self.texts(one, depth)
            case ast.Name(id=name) if depth < DEEPEST and (found := self._texts_of(name, depth)):
                return found
        return [f"<{_name(node)}>"]

    def _texts_of(self, name: str, depth: int) -> list[str]:
        if name in self.bound:
            return list(self.bound[name])
        values = _assignments(self.function, name) or _constants(self.module, name)
        return [text for value in values if _is_text(value) for text in self.texts(value, depth + 1)]


def _assignments(tree: ast.AST, name: str) -> list[ast.expr]:
    found = []
    for node in ast.walk(tree) if not isinstance(tree, ast.Module) else tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                found.append(value)
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                found += [value for one, value in zip(targets, values, strict=True) if ast.unparse(one) == name]
    return found


def _constants(module: str, name: str) -> list[ast.expr]:
    """Return the value of a constant of a module, which may have imported it from another one."""
    own = _assignments(modules()[module], name)
    return (
        own or [value for tree in modules().values() for value in _assignments(tree, name)]
        if name.isupper() or own
        else []
    )


def _is_text(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=str() | int()) | ast.JoinedStr():
            return True
        case ast.IfExp(body=one, orelse=other):
            return _is_text(one) or _is_text(other)
    return False


def _name(node: ast.expr | None) -> str:
    match node:
        case ast.Attribute(value=ast.Call(func=ast.Name(id="type"))):
            return "type"
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.strip("_").lower()
        case ast.Subscript(value=value) | ast.FormattedValue(value=value):
            return _name(value)
        case ast.Call(args=[one, *_]):
            return _name(one)
    return "..."


def text() -> str:
    """Return the page."""
    head = """\
# Error messages

<!-- `python -m dev.messages` writes this page from airflow_provider_ims/. Do not edit it by hand. -->

All messages of the errors of this provider, with `<...>` for values, and what to do about each. The message in the log
has both parts. [Troubleshooting](troubleshooting.md) begins with what you see; [errors](errors.md) says what Airflow
may retry.
"""
    groups = [_group(module, *group) for module, group in GROUPS.items()]
    return "\n".join([head, *groups])


def _group(module: str, title: str, when: str) -> str:
    lines = [f"## {title}", "", when, "", "| message | what to do | error |", "|---|---|---|"]
    for message in messages():
        if message.module == module:
            kind = "by the response" if message.kind == CHOSEN else f"`{message.kind}`"
            lines.append(
                f"| {_cell(message.meaning)} | {_cell(message.remedy, by_hand=is_by_hand(message))} | {kind} |"
            )
    return "\n".join([*lines[:6], *dict.fromkeys(lines[6:]), ""])


def is_by_hand(message: Message) -> bool:
    """Whether what to do about a message is Markdown of this file, not a text of the code.

    :param message: the message
    """
    return message.remedy in {*REMEDIES.values(), *CHOSEN_WHEN_RAISED.values()}


def _cell(part: str, *, by_hand: bool = False) -> str:
    special = r"[|<]" if by_hand else r"[|<*_`\[]"
    return re.sub(special, lambda found: f"\\{found[0]}", " ".join(part.split()))


if __name__ == "__main__":
    PAGE.write_text(text())
    echo(f"Wrote {PAGE}")
