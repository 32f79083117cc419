"""Bring the catalogues of translated texts up to date with the English texts of the templates.

``python -m tools.catalogues`` keeps every translation whose English text is unchanged, drops the
others, and adds an empty entry for each new text. A translator fills them in; the tests name what
is missing. The next install compiles the catalogues.
"""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment, FileSystemLoader

from flask_ssr_session.sansio.languages import LANGUAGES

ROOT = Path(__file__).resolve().parents[1]
# Babel writes placeholders for these, or what changes at every run.
UNUSED_HEADERS = re.compile(
    rb'^"(Project|Report|POT|PO|Last|Language-Team|Generated)[^\n]*\n', re.MULTILINE
)
HEADER = "# Texts of flask-ssr-session. The context of an entry is the name of its text.\n#"


def english_texts() -> list[tuple[str, str]]:
    """Return the name and the English of each text, table by table."""
    environment = Environment(loader=FileSystemLoader(ROOT / "templates"), autoescape=True)
    module = vars(environment.get_template("refresh_texts.html").module)
    # Jinja keeps the variables of a template in no order.
    tables = [table for _, table in sorted(module.items()) if isinstance(table, dict)]
    return list(dict.fromkeys(item for table in tables for item in table.items()))


def catalogue_path(language: str) -> Path:
    """Return the path of a language's catalogue."""
    folder = ROOT / "flask_ssr_session" / "translations" / language / "LC_MESSAGES"
    return folder / "flask_ssr_session.po"


def updated(language: str) -> Catalog:
    """Return the catalogue of *language* with exactly the texts of the templates."""
    path, old = catalogue_path(language), Catalog()
    if path.exists():
        with path.open("rb") as file:
            old = read_po(file)
    new = Catalog(locale=language, header_comment=HEADER, fuzzy=False)
    for name, text in english_texts():
        known = old.get(text, name)
        new.add(text, known.string if known else "", context=name)
    return new


def main() -> None:
    """Write all catalogues, and say what each lacks."""
    for language in LANGUAGES:
        if language == "en":
            continue
        path, catalogue = catalogue_path(language), updated(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_po(written := BytesIO(), catalogue, width=0)
        path.write_bytes(UNUSED_HEADERS.sub(b"", written.getvalue()))
        missing = sum(1 for message in catalogue if message.id and not message.string)
        print(f"{language}: {missing} texts without a translation")


if __name__ == "__main__":
    main()
