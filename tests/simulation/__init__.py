"""The whole company in one process on a simulated clock: everything that happens follows from one seed."""
