"""The pages about jobs: the list, the form, one job."""
