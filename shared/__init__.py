"""What the web side and the workers agree on: specs, states, events, job directories, the store.

Knows neither flask nor tensorflow, keras or numpy, so that either side can import it at no cost.
"""
