# Examples: programs as a user would write them. `make` builds those whose libraries are there.
