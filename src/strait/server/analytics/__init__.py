"""Figures over the past: one named query for each question, asked on connections of their own.

What lives here reads and never writes. `pool` runs a query in a thread under a deadline, so that
neither the writer nor the event loop ever waits for one; the other modules hold the questions.
"""
