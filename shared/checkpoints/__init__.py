"""Checkpoints as files: what is in them, which of them are whole, which ones stay."""
