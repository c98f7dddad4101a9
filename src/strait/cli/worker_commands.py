"""`strait worker`: run the handlers of a target in a process that connects out."""

from __future__ import annotations

from pathlib import Path

import click

from strait.cli.session import Session, on_platform


@click.command()
@click.argument("target", required=False, default="")
@click.option(
    "--addr",
    default="",
    envvar="STRAIT_WORKER_ADDR",
    metavar="HOST:PORT",
    help="Where the platform listens for workers.  [env: STRAIT_WORKER_ADDR]",
)
@click.option("--queue", "queues", multiple=True, help="A queue to serve.  [default: the jobs']")
@click.option(
    "--slots", type=click.IntRange(1, 256), metavar="INTEGER", default=8, show_default=True,
    help="How many runs at once, 1 to 256.",
)  # fmt: skip
@click.option("--name", default="", help="What people call it.  [default: the host's name]")
@click.option(
    "--register", is_flag=True, help="Bring the jobs and workflows to the platform first."
)
@click.option(
    "--drain-secs",
    type=click.FloatRange(min=0),
    metavar="SECS",
    default=30.0,
    show_default=True,
    help="How long runs may go on after SIGTERM or ctrl-c; once more ends at once.",
)
@click.option(
    "--tls/--no-tls",
    default=None,
    help="[default: TLS with --ca-file, and unless on this machine]",
)
@click.option(
    "--ca-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="Certificates to trust, a PEM file.",
)
@on_platform
def worker(
    session: Session,
    *,
    target: str,
    addr: str,
    queues: tuple[str, ...],
    slots: int,
    name: str,
    register: bool,
    drain_secs: float,
    tls: bool | None,
    ca_file: Path | None,
) -> None:
    """Run jobs of TARGET in a worker, which connects out to a platform.

    TARGET is what `strait dev` takes. Runs come over gRPC, so that nothing here listens; it needs
    the extra `grpc`. The key needs the scope `workers:connect`. Jobs go to workers when they have
    `execution_mode="worker"`, which `--register` sees to. Without `--addr` it is what the platform
    of this directory says, else port 50051 of the platform's host. The secret that runs are signed
    with comes from the environment (STRAIT_SIGNING_SECRET). With `--json` each line tells what
    has happened: `starting` first, then `connected`, from when on work is taken.
    """
    from strait.cli.worker import Wanted, run

    run(session, Wanted(target, addr, queues, slots, name, register, drain_secs, tls, ca_file))
