"""Workers that connect out and are handed runs over their stream (`contract/runs.md` §10).

`fleet` knows who is connected and what each one has, `dispatch` hands runs out, `results` carries
out what workers tell, inside of a transaction. Only `service`, `listener` and `health` speak gRPC
and need the extra `grpc`; the rest of the platform does without.
"""
