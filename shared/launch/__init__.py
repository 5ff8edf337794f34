"""`keepfit up`: the embedded server, the web server and the workers under one supervisor.

Knows which programs make up the service and how each is started, watched and stopped. Knows
nothing of jobs; starts the other parts as processes, by their command lines, and imports neither.
"""
