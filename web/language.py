"""Which language a request is answered in: the one that was chosen, else the browser's. The switch on every page.

The JSON API speaks English only: its words are part of what programs rely on. A live stream is for pages, and speaks
the language of its request.
"""

from urllib.parse import urlsplit

from flask import Blueprint, Flask, redirect, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup, escape
from werkzeug.datastructures import LanguageAccept

from keepfit.web.security import csrf
from keepfit.web.words import catalogue
from keepfit.web.words.catalogue import ENGLISH, LANGUAGES, speak, spoken
from keepfit.web.words.scripts import script_words

COOKIE = "keepfit-language"
"""One for all Keepfits of a host: a person's language is the same in each."""
A_YEAR_S = 365 * 24 * 60 * 60
FOR_PROGRAMS = ("/api/", "/health", "/metrics")

blueprint = Blueprint("language", __name__)


def init_app(app: Flask) -> None:
    """Choose a language before anything else is done, so that refusals speak it too; give the templates the words."""
    app.before_request(_choose)
    app.teardown_request(_forget)
    app.register_blueprint(blueprint)
    app.jinja_env.globals.update(
        {
            "_": _in_page,
            "n_": catalogue.n_,
            "spoken": spoken,
            "languages": LANGUAGES,
            "script_words": script_words,
            "here": _here,
        }
    )


@blueprint.post("/language")
@csrf.exempt  # it changes one cookie of who presses; that it comes from a page of ours is checked for every post
def choose() -> ResponseReturnValue:
    """Keep the language that was chosen, and go back to the page on which it was."""
    answer = redirect(_ours(request.form.get("back", "")), 303)
    if (language := request.form.get("language")) in LANGUAGES:
        answer.set_cookie(COOKIE, language, max_age=A_YEAR_S, httponly=True, samesite="Lax")
    return answer


def _choose() -> None:
    asked = request.cookies.get(COOKIE)
    if request.path.startswith(FOR_PROGRAMS) and request.blueprint != "stream":
        speak(ENGLISH)
    elif asked in LANGUAGES:
        speak(asked)
    else:
        speak(_best_for(request.accept_languages))


def _best_for(wanted: LanguageAccept) -> str:
    """The first of a browser's languages that is spoken here. (`best_match` takes "ko" of "en-US, ko;q=0.9".)"""
    tags = (tag.lower().split("-")[0] for tag, quality in wanted if quality > 0)
    return next((tag for tag in tags if tag in LANGUAGES), ENGLISH)


def _forget(_exc: BaseException | None) -> None:
    speak(ENGLISH)  # the thread serves somebody else next


def _in_page(message: str, /, **values: object) -> Markup:
    """``message`` in the page's language, safe to stand in it; values may be pieces of a page."""
    said = escape(catalogue._(message))
    return said.format(**values) if values else said


def _here() -> str:
    """The address that a switch of language leads back to."""
    if request.method == "GET":
        return request.full_path.removesuffix("?")
    return url_for("pages.new_job" if request.endpoint == "pages.create_job" else "pages.jobs")


def _ours(address: str) -> str:
    """``address`` if it is one of this site, else that of the first page."""
    parts = urlsplit(address)
    good = address.startswith("/") and not address.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return address if good else url_for("pages.jobs")
