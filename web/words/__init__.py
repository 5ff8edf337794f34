"""Everything that is said to people: states, reasons, numbers, what is wrong with a form."""
