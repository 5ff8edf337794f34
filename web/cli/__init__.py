"""The `keepfit` command."""
