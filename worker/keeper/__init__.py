"""The keeper: a thread of each worker that sees to all jobs, in small chores a few times a second."""
