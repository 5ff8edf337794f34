"""The words that the pages' scripts say. Each page carries them in its language; no script holds a sentence."""

from keepfit.web.words.catalogue import _, marked

_WORDS = {
    "lost": marked(
        "Live updates are paused: the web server does not answer. This page shows what was last known. Trying again."
    ),
    "paused": marked("Live updates are paused. Trying again."),
    "refused": marked("The web server answers {status}."),
    "attempt": marked("Attempt {number}"),
    "mark": marked("attempt {number}"),
    "epoch": marked("epoch"),
    "epochs": marked("epoch {number}"),
    "training": marked("training"),
    "validation": marked("validation"),
}


def script_words() -> dict[str, str]:
    """Each of them by its name; the places for values are filled by the script."""
    return {name: _(message) for name, message in _WORDS.items()}
