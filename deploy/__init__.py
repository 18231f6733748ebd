"""How the services are run: in one process, split, by the `mainstay` command."""
