"""The models that a spec can name, and the files that people take home."""
