"""The types of settings: what each accepts, in words and as a check."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from os import PathLike
from types import MappingProxyType
from typing import Any, NamedTuple

from ..sansio.languages import LANGUAGES
from ..sansio.origins import parse_origin


class FieldType(NamedTuple):
    """The values that a setting accepts.

    :ivar description: the accepted values in words, as they follow "Takes" in
        docs/configuration.rst and "must be" in a ConfigError.
    :ivar validate: returns the value to keep, or raises ValueError. Its message, if any, adds to
        the description and never repeats the value.
    """

    description: str
    validate: Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError
    return value.strip()


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _url_path(value: Any) -> str:
    """Check a path on this site and drop the slash at its end."""
    path = _text(value)
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError
    if set(path) & set("?#\\ <>%"):
        raise ValueError(r"a space and ? # \ < > % are not allowed")
    return path.rstrip("/")


def _refresh_path(value: Any) -> str:
    path = _url_path(value)
    if not path:
        raise ValueError
    return path


def _web_origin(value: Any) -> str:
    return parse_origin(_text(value))


def _origins(value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple, set, frozenset)):
        raise ValueError
    return tuple(map(_web_origin, value))


def _check_origin_of(url: str) -> None:
    parse_origin("/".join(url.split("/", 3)[:3]))


def is_address(page: object) -> bool:
    """Return whether the setting *page* is a path or URL, and not an endpoint or a function."""
    return isinstance(page, str) and (page.startswith("/") or "://" in page)


def takes_one_argument(function: object) -> bool:
    """Return whether *function* can be called with one argument."""
    if not callable(function):
        return False
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # some builtins have no signature
        pass
    return True


def page_address(value: Any) -> str:
    """Check a path on this site, perhaps with a query, or a URL.

    :returns: *value* without a slash at the end of the path.
    :raises ValueError: it is neither.
    """
    url = _text(value)
    if url.startswith("/"):
        path, mark, query = url.partition("?")
        return (_url_path(path) or "/") + mark + query
    if not url.startswith(("http://", "https://")):
        raise ValueError
    _check_origin_of(url)
    return url


def _endpoint(text: str) -> str:
    if not all(name.replace("-", "_").isidentifier() for name in text.split(".")):
        raise ValueError
    return text


def _sign_in(value: Any) -> Any:
    if callable(value):
        if not takes_one_argument(value):
            raise ValueError("the function takes one argument, the request")
        return value
    text = _text(value)
    return page_address(text) if is_address(text) else _endpoint(text)


def _page_path(value: Any) -> str:
    url = page_address(value)
    if not url.startswith("/"):
        raise ValueError("the page is on the site itself")
    return url


def _page_or_endpoint(value: Any) -> str:
    text = _text(value)
    return _page_path(text) if is_address(text) else _endpoint(text)


def _claim_pages(value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise ValueError
    pages = {_text(claim): _page_or_endpoint(page) for claim, page in value.items()}
    return MappingProxyType(pages)


def _key_uri(value: Any) -> str:
    url = _text(value)
    _check_origin_of(url)
    if not url.isascii() or " " in url:
        raise ValueError("spaces and characters outside ASCII must be percent-encoded")
    return url


def _key_set(value: Any) -> Mapping[str, Any] | str:
    if isinstance(value, Mapping):
        return value
    return _text(value.__fspath__() if isinstance(value, PathLike) else value)


def _query_name(value: Any) -> str:
    name = _text(value)
    if not name.replace("_", "").replace("-", "").isalnum():
        raise ValueError
    return name


def _flow(value: Any) -> str:
    if value not in ("inline", "redirect"):
        raise ValueError
    return str(value)


def _language(value: Any) -> str:
    name = _text(value)
    if name not in LANGUAGES:
        raise ValueError
    return name


def _domain(value: Any) -> str:
    domain = _text(value).lower()
    if set(domain) & set("/:@ "):
        raise ValueError
    return domain


def seconds(maximum: float) -> FieldType:
    """Return the type of a duration from 0 to *maximum* seconds."""

    def validate(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError
        if not 0 <= value <= maximum:  # also rejects NaN
            raise ValueError
        return float(value)

    return FieldType(f"a number of seconds from 0 to {maximum:.0f}", validate)


TEXT = FieldType("a non-empty text without control characters", _text)
FLAG = FieldType("True or False", _flag)
URL_PATH = FieldType("a path that begins with one slash", _url_path)
REFRESH_PATH = FieldType("a path that begins with one slash, but not / itself", _refresh_path)
WEB_ORIGIN = FieldType("an origin: scheme, host and optional port", _web_origin)
ORIGINS = FieldType("a list, tuple or set of origins", _origins)
SIGN_IN = FieldType(
    "a path that begins with one slash, an http or https URL, an endpoint, or a function of the "
    "request",
    _sign_in,
)
PAGE_PATH = FieldType("a path that begins with one slash", _page_path)
CLAIM_PAGES = FieldType(
    "a mapping of claim ids to endpoints, or to paths that begin with one slash", _claim_pages
)
KEY_URI = FieldType("an http or https URL", _key_uri)
KEY_SET = FieldType("a key set as a mapping, or the path of its JSON file", _key_set)
QUERY_NAME = FieldType("a name of letters, digits, dashes and underscores", _query_name)
FLOW = FieldType("either inline or redirect", _flow)
LANGUAGE = FieldType(f"one of {', '.join(LANGUAGES)}", _language)
DOMAIN = FieldType("a domain, with or without a leading dot", _domain)
