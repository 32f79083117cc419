"""Measure which small changes of the code the tests notice."""
