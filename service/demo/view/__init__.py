"""The demo on the terminal."""
