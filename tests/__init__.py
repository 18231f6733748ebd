"""The tests, folder by folder as the code they try."""
