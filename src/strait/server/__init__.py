"""The imperative shell of the embedded server: HTTP, dispatch, timers, streams, keys."""
