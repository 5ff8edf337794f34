"""The data that comes with Keepfit."""
