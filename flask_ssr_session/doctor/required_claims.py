"""Read what the views and hooks of an app require of a session, and which recipes write it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from flask import Flask

from ..middleware_order import is_require_session
from ..sansio.builtin_claims import (
    CLAIM_RECIPES,
    EMAIL_VERIFIED_CLAIM,
    PERMISSIONS_CLAIM,
    ROLES_CLAIM,
)
from ..sansio.claims import ClaimRequirements
from ..sansio.global_claims import is_about
from ..sansio.requirements import Requirements, own_mark
from .code_reader import functions_of
from .route_list import hook_requirements


class UnwrittenClaims(NamedTuple):
    """Conditions on claims that the SDK writes into no token.

    :ivar recipe: the id of the recipe that would write them.
    :ivar conditions: as they are written in the app, for example ``role=``.
    """

    recipe: str
    conditions: tuple[str, ...]


def declared_requirements(app: Flask) -> Iterator[Requirements]:
    """Yield what session decorators and the hook ``require_session`` require.

    A decorator may be on a view, on a method of its class, on a hook, or on a function that one of
    these wraps or closes over.
    """
    hooks = chain.from_iterable(app.before_request_funcs.values())
    for function in chain(app.view_functions.values(), hooks):
        for each in functions_of(function):
            yield from own_mark(each).requirements
        if is_require_session(function):
            yield hook_requirements(function)


def unwritten_claims(
    required: Iterable[Requirements], recipe_ids: Collection[str]
) -> Iterator[UnwrittenClaims]:
    """Yield the conditions in *required* for which the SDK has not initialised the recipe.

    :param recipe_ids: the recipes that the SDK has initialised.
    """
    by_recipe: dict[str, dict[str, None]] = {}
    for requirements in required:
        for claim, condition in _conditions(requirements.claims):
            by_recipe.setdefault(CLAIM_RECIPES[claim], {})[condition] = None
    for recipe, conditions in by_recipe.items():
        if recipe not in recipe_ids:
            yield UnwrittenClaims(recipe, tuple(conditions))


def _conditions(claims: ClaimRequirements) -> Iterator[tuple[str, str]]:
    """Yield each claim of a recipe that *claims* require, and the condition on it."""
    if claims.role is not None:
        yield ROLES_CLAIM, "role="
    if claims.permission is not None:
        yield PERMISSIONS_CLAIM, "permission="
    if claims.email_verified:
        yield EMAIL_VERIFIED_CLAIM, "email_verified="
    for validator in claims.validators:
        for claim in CLAIM_RECIPES:
            if is_about(validator, claim):
                yield claim, f"a validator of {claim}"
