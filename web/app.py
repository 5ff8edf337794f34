"""The web side: pages, the JSON API and the live streams, on Flask.

    app = create_app()              # served by `python -m keepfit.web.serve`
    app = create_app(Settings(...)) # tests

Knows flask and ``shared``; never tensorflow, keras, numpy or ``worker``; Redis only through
``shared.store``.
"""

from flask import Flask

from keepfit.shared import datadir
from keepfit.shared.addresses import open_to_others
from keepfit.shared.settings import Settings, get_settings
from keepfit.web import assets, compression, errors, language, security
from keepfit.web.api.jobs import blueprint as api
from keepfit.web.desk import open_desk
from keepfit.web.jobs.deletion import blueprint as deletion
from keepfit.web.jobs.views import blueprint as pages
from keepfit.web.stream import blueprint as stream
from keepfit.web.words import wording
from keepfit.web.words.numbers import FiniteJson


def create_app(settings: Settings | None = None) -> Flask:
    """The web application of one data directory. Opens no connection yet. Raises NewerVersion."""
    settings = settings or get_settings()
    datadir.take(settings.data_dir)
    if open_to_others(settings):  # nobody from elsewhere may kill workers
        settings = settings.model_copy(update={"drills": False})
    key = security.secret_key(settings)
    app = Flask("keepfit.web")
    app.json = FiniteJson(app)
    app.config.update(
        SECRET_KEY=key,
        SESSION_COOKIE_NAME=security.cookie_name(key, settings.port),
        SESSION_COOKIE_PATH="/",
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_TIME_LIMIT=None,  # a form may stay open over night; its token ends with the session
        MAX_CONTENT_LENGTH=64 * 1024,  # the largest honest request is a spec of a few kilobytes
        MAX_FORM_MEMORY_SIZE=64 * 1024,
    )
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.extensions["keepfit"] = open_desk(settings)
    app.jinja_env.filters.update(wording.FILTERS)
    language.init_app(app)
    security.init_app(app, settings)
    errors.init_app(app)
    compression.init_app(app)
    assets.init_app(app)
    app.register_blueprint(pages)
    app.register_blueprint(deletion)
    app.register_blueprint(api)
    app.register_blueprint(stream)
    return app
