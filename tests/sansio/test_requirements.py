"""What a view requires: the marks of its decorators, however they are wrapped."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from flask_ssr_session.errors import MisuseError
from flask_ssr_session.sansio import requirements
from flask_ssr_session.sansio.claims import ClaimRequirements
from flask_ssr_session.sansio.recency import Recency
from flask_ssr_session.sansio.requirements import Requirements, ViewMark, view_mark
from tests.tables import rows

View = Callable[[], str]


def plain() -> str:
    return "content"


def wrapping(view: View, mark: ViewMark | None = None) -> View:
    @functools.wraps(view)
    def wrapper() -> str:
        return view()

    if mark is not None:
        requirements.mark_view(wrapper, mark)
    return wrapper


def marked(**switches: Any) -> View:
    return wrapping(plain, ViewMark(**switches))


def test_switch_takes_true_or_false() -> None:
    of = functools.partial(Requirements.of, ClaimRequirements(), Recency())
    values: list[Any] = [None, 1, 0, "yes", []]
    for name in ("check_revoked", "keep_form", "allow_pending", "global_claims", "optional"):
        for value in values:
            with pytest.raises(MisuseError, match=f"^{name}= takes True or False"):
                of(**{name: value})
        for switch in (True, False):
            assert getattr(of(**{name: switch}), name) is switch


CONDITIONS: dict[str, Any] = {
    "a claim": {"claims": ClaimRequirements(role="admin")},
    "a factor": {"recency": Recency("totp")},
    "a time": {"recency": Recency(signed_in_within=60)},
    "the core": {"check_revoked": True},
    "a form": {"keep_form": True},
    "pending": {"allow_pending": True},
    "no global claims": {"global_claims": False},
}


@rows("condition", CONDITIONS)
def test_optional_takes_no_condition(condition: dict[str, Any]) -> None:
    given: dict[str, Any] = {"claims": ClaimRequirements(), "recency": Recency()} | condition
    assert not Requirements.of(**given).optional
    with pytest.raises(MisuseError, match="optional=True takes no other condition"):
        Requirements.of(**given, optional=True)


CURABLE: dict[str, Any] = {
    "nothing": ({}, Recency(), ()),
    "a role": ({"role": "admin"}, Recency(signed_in_within=60), ()),
    "a verified address": ({"email_verified": True}, Recency(), (("st-ev", ""),)),
    "a validator": ({"validators": (SimpleNamespace(id="plan"),)}, Recency(), (("plan", ""),)),
    "a factor": ({}, Recency("totp"), (("st-mfa", "totp"),)),
}


@rows("claims, recency, expected", CURABLE)
def test_mark_names_what_a_page_may_cure(claims: Any, recency: Recency, expected: Any) -> None:
    curable = Requirements(claims=ClaimRequirements(**claims), recency=recency).curable
    assert tuple((failure.id, failure.step_up) for failure in curable) == expected
    inner = marked(curable=curable)
    assert view_mark(wrapping(inner, ViewMark(curable=curable))).curable == curable * 2


MARKS: dict[str, Any] = {
    "no mark": (plain, ViewMark()),
    "no mark below another decorator": (wrapping(plain), ViewMark()),
    "exempt": (marked(exempt=True), ViewMark(exempt=True)),
    "exempt below others": (wrapping(wrapping(marked(exempt=True))), ViewMark(exempt=True)),
    "optional": (marked(optional=True), ViewMark(optional=True)),
    "allow_pending": (marked(allow_pending=True), ViewMark(allow_pending=True)),
    "keep_form": (marked(keep_form=True), ViewMark(keep_form=True)),
    "no global claims": (marked(global_claims=False), ViewMark(global_claims=False)),
    "two marks add up": (
        wrapping(wrapping(marked(exempt=True)), ViewMark(global_claims=False)),
        ViewMark(exempt=True, global_claims=False),
    ),
    "None": (None, ViewMark()),
}


@rows("view, expected", MARKS)
def test_mark_shows_through_the_decorators_above_it(view: Any, expected: ViewMark) -> None:
    assert view_mark(view) == expected


def test_mark_that_was_copied_to_another_function_says_nothing_of_it() -> None:
    def impostor() -> str:
        return "other content"

    vars(impostor).update(vars(marked(exempt=True)), __wrapped__=None)
    assert view_mark(impostor) == ViewMark()


def test_circle_of_wrapped_functions_ends() -> None:
    view: Any = wrapping(plain)
    view.__wrapped__ = view
    assert len(list(requirements.wrapped_chain(view))) == requirements.MAX_WRAPPERS
    assert view_mark(view) == ViewMark()


def test_view_that_was_replaced_has_its_own_marks() -> None:
    marks, first, second = requirements.ViewMarks(), marked(optional=True), marked(exempt=True)
    views = {"page": first}
    assert marks.of(views, "page") == marks.of(views, "page") == ViewMark(optional=True)
    views["page"] = second
    assert marks.of(views, "page") == ViewMark(exempt=True)
    assert marks.of(views, None) == marks.of(views, "nowhere") == ViewMark()


def test_parts_of_a_view_are_itself_and_what_it_wraps() -> None:
    view, other = marked(exempt=True), marked(optional=True)
    assert requirements.is_part(view, view)
    assert requirements.is_part(view, plain)
    assert not requirements.is_part(view, other)
    assert not requirements.is_part(None, view)
