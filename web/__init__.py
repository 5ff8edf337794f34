"""The web side: the site, its API, the client of that and the command. Importing this loads none of them."""
