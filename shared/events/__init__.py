"""The published language: every fact one service tells the others, and the envelope it travels in."""
