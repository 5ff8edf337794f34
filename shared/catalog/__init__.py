"""What jobs can be made of: cards that say all of a data set or a model, and the library that keeps them."""
