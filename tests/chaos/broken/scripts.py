"""Lets a sabotaged worker run other scripts than those of ``shared/store/lua``."""

from typing import Any

from shared.store.scripts import Link


def replace_in_scripts(old: str, new: str) -> None:
    """In every script of this process, and of its children, ``old`` is replaced by ``new``."""
    run, broken = Link.run, set[tuple[int, str]]()

    def broken_run(self: Link, script: str, *args: str | int | float) -> Any:
        if (id(self), script) not in broken:
            broken.add((id(self), script))
            honest = self._scripts[script].script
            assert isinstance(honest, str)
            self._scripts[script] = self._redis.register_script(honest.replace(old, new))
        return run(self, script, *args)

    Link.run = broken_run  # type: ignore[method-assign]
