"""The example app, translated: ``?language=ar`` or ``?language=de`` selects the language.

It overrides both templates as an app would, and has its own page that withholds its content.
"""

from __future__ import annotations

import argparse

from flask import Response, render_template
from jinja2 import ChoiceLoader, DictLoader

from example_app import create_app

TEXTS = {
    "ar": {
        "working": "لحظة من فضلك، يتم تجديد جلستك…",
        "slow": "يستغرق هذا وقتًا أطول من المعتاد.",
        "problem": "تعذر تجديد جلستك",
        "status": "حدثت مشكلة في خدمة تسجيل الدخول (الخطأ {status}). لم يتم تسجيل خروجك.",
        "retry": "أعد المحاولة",
        "sign_in": "تسجيل الدخول",
    },
    "de": {
        "working": "Sitzungsverlängerungsbestätigungsverfahren wird durchgeführt …",
        "slow": "Verzögerungsbenachrichtigungszeitüberschreitung.",
        "problem": "Sitzungsverlängerungsdienstleistungsunterbrechung",
        "status": "Anmeldedienstkommunikationsstörungsfehlermeldungsnummer {status}.",
        "retry": "Sitzungsverlängerungswiederholungsversuch",
        "sign_in": "Benutzerkontoanmeldungsformularseite",
    },
}
TEMPLATES = {
    "refresh_page.html": """
{% from "flask_ssr_session/refresh_page.html" import refresh_page as original %}
{% macro refresh_page() %}
{{ original(texts=translations.get(request.args.language, {}), **kwargs) }}
{% endmacro %}
""",
    "refresh_document.html": """
{% extends "flask_ssr_session/refresh_document.html" %}
{% block lang %}{{ request.args.language }}{% endblock %}
{% block dir %}{{ "rtl" if request.args.language == "ar" else "ltr" }}{% endblock %}
{% block title %}{{ translations[request.args.language].working }}{% endblock %}
""",
    "own.html": """
{% from "refresh_page.html" import refresh_page %}
<!doctype html>
<html lang="fr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Ours</title>
<link rel="stylesheet" href="/own.css">
</head>
<body><main><h1>Ours</h1>
{% if needs_refresh %}{{ refresh_page(heading=request.args.get("heading", 2)) }}{% endif %}
</main></body>
</html>
""",
}


CSS = "body { background: Canvas; color: CanvasText }"


def own() -> str:
    """Show a template of the app that decides by needs_refresh, as most apps do."""
    return render_template("own.html")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port = parser.parse_args().port
    app = create_app(site=f"http://localhost:{port}")
    assert app.jinja_loader is not None
    app.jinja_loader = ChoiceLoader([DictLoader(TEMPLATES), app.jinja_loader])
    app.jinja_env.globals["translations"] = TEXTS
    app.add_url_rule("/own", view_func=own, methods=["GET", "POST"])
    app.add_url_rule("/own.css", "css", lambda: Response(CSS, mimetype="text/css"))
    app.run(host="localhost", port=port, threaded=True)


if __name__ == "__main__":
    main()
