"""Running jobs in a worker: a process that connects out to the platform and is handed runs.

    from strait.worker import Worker

    worker = Worker([greet], addr="localhost:50051", slots=8)
    await worker.run()

Nothing listens: a worker needs no address, no open port and no certificate of its own. `strait
worker TARGET` does the same from the command line. It needs the extra `grpc`.
"""

from __future__ import annotations

from strait.worker.errors import WorkerRefused
from strait.worker.worker import Worker

__all__ = ["Worker", "WorkerRefused"]
