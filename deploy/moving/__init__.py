"""Moves a whole installation: all databases, the log and the files at one point, into a folder and out of it again."""
