"""What a person can do: pages and API call these."""
