"""Load the app that a command is about; why it cannot be loaded is a finding, not a traceback."""

from __future__ import annotations

import traceback
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import NoAppException, ScriptInfo

from ..app_state import EXTENSION_NAME
from ..errors import ConfigError, MisuseError
from .finding import Finding, problem

_SEE_ALL = "flask routes shows the whole error"


def load_app(script_info: ScriptInfo) -> Flask | Finding:
    """Return the app that the ``flask`` command names, or a finding that says why there is none."""
    try:
        app: Flask = (
            current_app._get_current_object()  # type: ignore[attr-defined]
            if current_app
            else script_info.load_app()
        )
    except NoAppException as error:
        return _not_found(error)
    except (ConfigError, MisuseError) as error:
        return problem("setup", str(error), "fix this first")
    except Exception as error:  # noqa: BLE001 - the app's code can raise anything
        # Only the type and the place: the message may hold a secret.
        return problem(
            "app",
            f"the app fails while it is created: {_location(error)}",
            f"fix this first; {_SEE_ALL}",
        )
    if EXTENSION_NAME not in app.extensions:
        return problem(
            "app",
            f"the app {app.name!r} does not use flask_ssr_session",
            "call FlaskSSRSession(app), or init_app(app) in its factory; if this is another app, "
            + _name_it(),
        )
    return app


def _name_it() -> str:
    command = click.get_current_context().info_name
    return f"name the app, for example: flask --app mysite:create_app ssr-session {command}"


def _not_found(error: NoAppException) -> Finding:
    first, *more = error.format_message().strip().splitlines()
    if more:  # an ImportError inside the app, with its traceback
        return problem(
            "app",
            f"the app cannot be imported: {more[-1]}",
            f"install what is missing into the environment of this Python; {_SEE_ALL}",
        )
    return problem(
        "app", f"flask finds no app: {first}", f"run this in its folder, or {_name_it()}"
    )


def _location(error: Exception) -> str:
    """Return the type of *error*, and the last line of the app's own code that led to it."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__} at {error.filename}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_library(frame.filename)]
    frame = (own or frames)[-1]
    return f"{type(error).__name__} at {frame.filename}:{frame.lineno}"


def _is_library(filename: str) -> bool:
    parts = Path(filename).parts
    return (
        filename.startswith("<")
        or "site-packages" in parts
        or Path(traceback.__file__).parent in Path(filename).parents
        or Path(__file__).parents[1] in Path(filename).parents
    )
