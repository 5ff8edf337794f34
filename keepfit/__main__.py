"""``python -m keepfit``: the command, where its script is not on the path."""

from keepfit.web.cli.command import main

main()
