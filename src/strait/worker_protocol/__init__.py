"""The messages between a platform and its workers, generated from `api/worker.proto`.

Both wings speak them. Nothing is imported here: `worker_pb2` and `worker_pb2_grpc` need the extra
`grpc` (`grpcio`, `protobuf`), and only who speaks to workers, or is one, pays for that.
"""
