"""Training with Keras: exact resume, checkpoints, the engine. Knows neither redis nor celery."""
