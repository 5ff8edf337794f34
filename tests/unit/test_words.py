"""Everything that is said exists in each language: the catalogues hold just the code's messages, all translated."""

import re
from pathlib import Path

import pytest
from babel.messages import pofile

from keepfit.web.words.catalogue import ENGLISH, FOLDER, LANGUAGES, Marked, _, marked, n_, read_po, speaking
from tests.harness.messages import ROOT, Message, messages, one_form, places, read, updated, written

OTHERS = sorted(set(LANGUAGES) - {ENGLISH})
FOUND = list({(m.one, m.many): m for m in messages()}.values())
HANGUL = re.compile("[가-힣]")
SAME_IN_KOREAN = re.compile(
    r"(Fashion-)?MNIST( 5k)?|MLP|API|Flatten, .*|{done}\.|{number}{space}%|{ended} at {step}|{\w+} on {data}|"
    r"{wish}, by {who}"
)


def test_messages_are_found_where_they_are_said() -> None:
    """In templates, in code, in tables for later, in errors of shared, in the help of commands and options."""
    said = {message.one for message in FOUND}

    assert {"New job", "Waiting to start", "Queued", "List the newest jobs.", "How many."} <= said
    assert "This idempotency key was used for a different job. Use a new key." in said
    assert Message("{n} job", "{n} jobs") in [Message(m.one, m.many) for m in FOUND]


@pytest.mark.parametrize("language", OTHERS)
def test_each_message_is_translated(language: str) -> None:
    """A message without its translation fails here; `make words` puts it into the catalogue."""
    known = read_po((FOLDER / f"{language}.po").read_text())

    missing = [m.where + "  " + m.one for m in FOUND if not known.get(m.one)]
    assert not missing, f"run `make words`, then translate in {language}.po: {missing}"


@pytest.mark.parametrize("language", OTHERS)
def test_a_catalogue_holds_just_the_codes_messages(language: str) -> None:
    """Nothing is stale, nothing fuzzy, and the file is as `make words` writes it."""
    assert (FOLDER / f"{language}.po").read_text() == written(updated(language, FOUND))


@pytest.mark.parametrize("language", OTHERS)
def test_translations_have_the_places_of_their_messages(language: str) -> None:
    """A value that the English names is named by the translation, and none besides; a unit's space may go."""
    known = read_po((FOLDER / f"{language}.po").read_text())

    wrong = [m.one for m in FOUND if (m.places - {"space"}) != places(known.get(m.one, "")) - {"space"}]
    assert wrong == []
    assert [m.one for m in FOUND if m.many and m.places != places(m.many)] == []


@pytest.mark.parametrize("language", OTHERS)
def test_our_reader_reads_what_gettexts_tools_read(language: str) -> None:
    """Quotes, escapes, plurals and long lines are the same to both."""
    theirs = {one_form(entry.id): one_form(entry.string) for entry in read(language) if entry.id}

    assert read_po((FOLDER / f"{language}.po").read_text()) == theirs
    text = 'msgid "a \\"b\\" \\\\ \\n"\nmsgstr "c \\t"\n\n#, fuzzy\nmsgid "d"\nmsgstr "e"\n\nmsgid "f"\nmsgstr ""\n'
    assert read_po(text) == {'a "b" \\ \n': "c \t"}
    assert pofile.read_po(text.splitlines(keepends=True)).get('a "b" \\ \n') is not None


def test_korean_is_korean() -> None:
    """Each sentence is in Hangul; only names and figures are as in English."""
    known = read_po((FOLDER / "ko.po").read_text())

    assert [one for one, said in known.items() if not HANGUL.search(said) and not SAME_IN_KOREAN.fullmatch(one)] == []


def test_a_term_has_one_word_in_korean() -> None:
    """Where the English of a message has a term of the table beside the catalogue, its Korean has the table's word."""
    rows = re.findall(r"^\| ([a-z ]+) \| ([가-힣 ]+) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    known = read_po((FOLDER / "ko.po").read_text())
    assert len(rows) > 20

    other = [
        (term, one, said)
        for one, said in known.items()
        for term, word in rows
        if re.search(rf"(?<![{{-]\b)\b{term}s?\b(?![}}.-]\w*)", one) and word not in said
    ]
    assert other == []


PARTICLE = re.compile(r"}['\"]?(?:이|가|을|를|은|는|과|와|로|으로|이나|나)(?=[ .,\"]|$)")
FIXED_VALUES = {"Keeps {call} going."}
"""What stands in them is known, so its particle is."""


def test_no_korean_particle_hangs_on_a_value() -> None:
    """이 or 가, 을 or 를: that depends on how the value ends, which nobody knows; a per cent sign is read 퍼센트."""
    known = read_po((FOLDER / "ko.po").read_text())

    hanging = {one for one, said in known.items() if PARTICLE.search(said) and "{share}" not in one}
    assert hanging <= FIXED_VALUES


def test_a_language_is_spoken_inside_only() -> None:
    """Values may be messages themselves; an unknown language is English; numbers have their thousands marked."""
    said = marked("Queued")

    with speaking("ko"):
        assert _("Page {page} of {pages}", page=1, pages=3) == "3페이지 중 1페이지"
        assert n_("{n} job", "{n} jobs", 1200) == "작업 1,200개"
        assert _("{done}.", done=said) == "대기 중."
        assert _("{done}.", done="Queued") == "Queued."  # a job of that name
        with speaking("tlh"):
            assert _(said) == "Queued"
    assert isinstance(said, Marked)
    assert n_("{n} job", "{n} jobs", 1) == "1 job"
    assert n_("{n} job", "{n} jobs", 1200) == "1,200 jobs"


@pytest.mark.parametrize("path", sorted((ROOT / "web/templates").glob("*.html")), ids=lambda path: path.name)
def test_no_template_says_a_word_of_its_own(path: Path) -> None:
    """Each text, title and label goes through the catalogue."""
    text = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "", path.read_text(), flags=re.DOTALL)
    labels = re.findall(r'\b(?:title|alt|placeholder|aria-label|data-label|data-empty)="([^"]+)"', text)
    shown = re.sub(r"<[^>]*>", " ", text)

    assert set(re.findall(r"[A-Za-z]{2,}", " ".join([*labels, shown]))) <= {"Keepfit", "id", "sha"}


@pytest.mark.parametrize("path", sorted((ROOT / "web/static").glob("*.js")), ids=lambda path: path.name)
def test_no_script_says_a_word_of_its_own(path: Path) -> None:
    """Scripts put words where they belong; the page brings them."""
    code = re.sub(r"(?m)(^|\s)//.*$", "", path.read_text())
    texts = re.findall(r'"([^"\n]*)"|`([^`]*)`', code)

    assert [text for pair in texts for text in pair if re.search(r"[A-Za-z]+ [a-z]+ [a-z]+", text)] == []
