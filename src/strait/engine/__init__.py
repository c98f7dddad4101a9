"""The functional core of the embedded server: pure decisions, no I/O, no clock.

Every change of a run or a workflow is one call of a function that takes the present state, an
event and the instant, and returns the next state with what is to be written and done. Nothing
here reads a file, a socket or the time, so all of it can be simulated.
"""
