"""One job on disk and in words: its states, its events, its directory, what is true of it."""
