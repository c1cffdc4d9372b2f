"""Traces: the events of one signal, which caused which, and what each changed."""
