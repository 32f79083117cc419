"""Initialise supertokens-python several times in one test process. It supports only one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask.testing import FlaskClient
from supertokens_python import InputAppInfo, Supertokens, SupertokensConfig, init
from supertokens_python.querier import Querier
from supertokens_python.recipe_module import RecipeModule

SITE = "http://localhost:5000"
EMAIL = {"id": "email", "value": "Ada@example.test"}
FIELDS = [EMAIL, {"id": "password", "value": "correct horse 1"}]


def init_sdk(uri: str, recipes: Sequence[Any], site: str = SITE) -> None:
    """Initialise the SDK for an application on localhost. It needs the ``sdk_environment``."""
    init(
        app_info=InputAppInfo(app_name="Test", api_domain=site, website_domain=site),
        framework="flask",
        supertokens_config=SupertokensConfig(connection_uri=uri),
        recipe_list=list(recipes),
        mode="wsgi",
        telemetry=False,
    )


def sign_up(client: FlaskClient, path: str = "/auth/signup") -> str:
    """Create the user at the app's API, or sign the user in; return the id."""
    answer = client.post(path, json={"formFields": FIELDS}, headers={"st-auth-mode": "cookie"}).json
    assert answer is not None
    return str(answer["user"]["id"])


def reset_sdk() -> None:
    """Reset the SDK, which it allows only if SUPERTOKENS_ENV is ``testing``."""
    Supertokens.reset()  # type: ignore[no-untyped-call]
    Querier.reset()  # type: ignore[no-untyped-call]
    for recipe in RecipeModule.__subclasses__():
        recipe.reset()  # type: ignore[attr-defined]
