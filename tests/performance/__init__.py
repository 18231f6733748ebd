"""`make bench`: how fast it is, each path beside its floor; never part of the tests."""
