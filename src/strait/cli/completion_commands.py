"""`strait completion`: the script that lets a shell complete commands, options and slugs."""

from __future__ import annotations

import click

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    r"""Print what lets SHELL complete `strait`.

    \b
    bash:  eval "$(strait completion bash)"      in ~/.bashrc
    zsh:   eval "$(strait completion zsh)"       in ~/.zshrc
    fish:  strait completion fish > ~/.config/fish/completions/strait.fish
    """
    from click.shell_completion import get_completion_class

    from strait.cli.commands import cli
    from strait.cli.failures import CommandError

    found = get_completion_class(shell)
    if found is None:
        raise CommandError(f"click knows no shell `{shell}`", "use bash, zsh or fish")
    click.echo(found(cli, {}, "strait", "_STRAIT_COMPLETE").source())
