"""Lets a sabotaged worker run other scripts than those of ``shared/store/lua``."""

from functools import cached_property

from redis.commands.core import Script

from keepfit.shared.store.link import Link


def replace_in_scripts(old: str, new: str) -> None:
    """In every script of this process, and of its children, ``old`` is replaced by ``new``; one must have it."""
    honest = Link.__dict__["_scripts"].func

    def broken(link: Link) -> dict[str, Script]:
        texts = {name: str(script.script) for name, script in honest(link).items()}
        assert any(old in text for text in texts.values()), f"no script has {old!r} any more: the sabotage does nothing"
        return {name: link._redis.register_script(text.replace(old, new)) for name, text in texts.items()}

    sabotaged = cached_property(broken)
    sabotaged.__set_name__(Link, "_scripts")
    Link._scripts = sabotaged  # type: ignore[assignment]
