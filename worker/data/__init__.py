"""The data that jobs name: where it comes from, and whether it can be trained on."""
