"""One service under test, with its neighbours played by the test."""
