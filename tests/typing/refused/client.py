"""What a type checker must refuse: each line that ends in `# no` and no other."""

from __future__ import annotations

from strait import Client


def use(*things: object) -> None:
    assert things


def calls(client: Client) -> None:
    client.jobs.create(nme="a")  # no
    client.jobs.create(name=5)  # no
    client.jobs.get(5)  # no
    client.jobs.list(limit="x")  # no
    client.jobs.trigger("a", timeoout=4)  # no
    use(client.jobs.list().data[0].of_tomorrow)  # no
    use(client.jobs.list().data[0]["of_tomorrow"])
    use(client.nothing)  # no
    text: int = client.health.list_metrics()  # no
    use(text)
