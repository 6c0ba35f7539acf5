"""How a command names one key, and names it twice."""

import re

import click

kid_argument = click.argument("kid")
confirm_option = click.option(
    "--confirm", metavar="KID", help="The same KID once more: this cannot be taken back."
)

_DASHED_KID = re.compile(r"-[A-Za-z0-9_-]{42}")


class OfOneKey(click.Command):
    """A command of one KID: a thumbprint in base64url, of which one in 64 looks like an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the KID behind a `--`, where nothing is taken for an option."""
        kids = [
            number
            for number, argument in enumerate(args)
            if _DASHED_KID.fullmatch(argument) and args[number - 1 : number] != ["--confirm"]
        ]
        if kids and "--" not in args:
            others = [argument for number, argument in enumerate(args) if number not in kids]
            args = [*others, "--", *(args[number] for number in kids)]
        return super().parse_args(ctx, args)
