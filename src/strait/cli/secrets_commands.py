"""`strait secrets`: what jobs are given as secrets. Values go in, and never come out."""

from __future__ import annotations

import click

from strait.cli.completing import slugs
from strait.cli.session import Session, limit_option, on_platform, yes_option

_JOB = click.option(
    "--job",
    default=None,
    shell_complete=slugs("job"),
    help="Slug or id of the job; else of all jobs.",
)
_ENVIRONMENT = click.option("--environment", default=None, help="Of this environment.")


@click.group()
def secrets() -> None:
    """Set, list and delete secrets of jobs.

    A value is asked for, or read from the standard input; never from the command line, which other
    users of the machine can see. The platform shows none again.
    """


@secrets.command("set")
@click.argument("key")
@_JOB
@_ENVIRONMENT
@on_platform
def set_(session: Session, *, key: str, job: str | None, environment: str | None) -> None:
    """Set the secret KEY, or replace it: `strait secrets set STRIPE_KEY < key.txt`."""
    from strait.cli import inputs, lookup, output

    body = {"project_id": session.project_id, "secret_key": key}
    if job:
        body["job_id"] = lookup.job(session.client, job)["id"]
    if environment:
        body["environment"] = environment
    told = session.client.secrets.create({**body, "value": inputs.secret(key)})
    if session.as_json:
        output.print_json(told)
    else:
        output.say(f"secret {key} is set ({told['environment']})")


@secrets.command("list")
@_JOB
@_ENVIRONMENT
@limit_option(100)
@on_platform
def list_(session: Session, *, job: str | None, environment: str | None, limit: int) -> None:
    """List the names of secrets."""
    from strait.cli import lookup, output

    found = _listed(session, job, environment, limit)
    if session.as_json:
        output.print_json(found)
        return
    slugs = lookup.job_slugs(session.client) if found else {}
    output.table(
        ("secret", "environment", "job", "set", "id"),
        (
            (
                one["secret_key"],
                one["environment"],
                slugs.get(one.get("job_id") or "", one.get("job_id") or "all"),
                output.when(one["updated_at"]),
                one["id"],
            )
            for one in found
        ),
        empty="no secrets; `strait secrets set KEY` sets one",
    )


@secrets.command()
@click.argument("key")
@_JOB
@_ENVIRONMENT
@yes_option
@on_platform
def delete(
    session: Session, *, key: str, job: str | None, environment: str | None, yes: bool
) -> None:
    """Delete the secret KEY, a name or an id."""
    from strait.cli import inputs, output
    from strait.cli.failures import CommandError, ExitCode

    listed = _listed(session, job, environment, 10_000)
    found = [one for one in listed if key in (one["secret_key"], one["id"])]
    if not found:
        raise CommandError(
            f"there is no secret {key!r}", "`strait secrets list` shows all", ExitCode.NOT_FOUND
        )
    if len(found) > 1:
        raise CommandError(
            f"there are {len(found)} secrets {key!r}",
            "say which with --job or --environment, or by its id",
            ExitCode.USAGE,
        )
    inputs.confirm(f"Delete the secret {found[0]['secret_key']}?", yes=yes)
    session.client.secrets.delete(found[0]["id"])
    if session.as_json:
        output.print_json({"deleted": found[0]["id"]})
    else:
        output.say(f"secret {found[0]['secret_key']} is deleted")


def _listed(
    session: Session, job: str | None, environment: str | None, limit: int
) -> list[dict[str, str]]:
    from strait.cli import lookup
    from strait.cli.session import pages

    filters = {"job_id": lookup.job(session.client, job)["id"]} if job else {}
    if environment:
        filters["environment"] = environment
    return list(pages(session.client.secrets.list, limit, **filters))
