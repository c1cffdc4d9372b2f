"""``byjy proof`` and ``byjy audit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from byjy_ops.arguments import AsJson, uuid
from byjy_ops.session import run
from byjy_ops.signing_key_option import CHECKPOINT_FILE_VARIABLE, CHECKPOINT_FOLDER_VARIABLE, SigningKeyPath

proof = typer.Typer(help="Proofs that an event is in the log, or that the log only grew: files for anybody to check.")

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="A new file; else standard output."),
]
Keys = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="KEY", help="A public key that signs for the log, or a file with them; repeatable."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(proof, name="proof")
    app.command()(audit)


@proof.command()
def inclusion(
    context: typer.Context,
    event_id: Annotated[UUID, typer.Argument(metavar="EVENT_ID", parser=uuid, help="As byjy events shows it.")],
    output: Output = None,
) -> None:
    """Prove that an event is in the log, under the newest checkpoint, with all that it says."""
    from byjy_ops.proving import prove_inclusion

    run(context, lambda database: prove_inclusion(database, event_id, output))


@proof.command()
def consistency(
    context: typer.Context,
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="The older checkpoint: its size, if it is stored, or a file with it.")
    ],
    new: Annotated[str | None, typer.Argument(metavar="NEW", help="The newer one; else the newest.")] = None,
    output: Output = None,
) -> None:
    """Prove that the log grew from one checkpoint to another, and nothing that was in it changed."""
    from byjy_ops.proving import prove_consistency

    run(context, lambda database: prove_consistency(database, old, new, output))


@proof.command()
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A proof of either kind.")],
    key: Keys = None,
    as_json: AsJson = False,
) -> None:
    """Check a proof. Needs no database: the file and the public key are enough. Exit status 1: it does not hold."""
    from byjy_ops.proving import check

    if status := check(file, key or (), as_json=as_json):
        raise typer.Exit(status)


def audit(
    context: typer.Context,
    key: Keys = None,
    signing_key: SigningKeyPath = None,
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option(
            "--checkpoints",
            metavar="PATH",
            envvar=[CHECKPOINT_FILE_VARIABLE, CHECKPOINT_FOLDER_VARIABLE],
            help="A file or folder with checkpoints that byjy seal took out of the database; repeatable."
            " Else BYJY_CHECKPOINT_FILE or BYJY_CHECKPOINT_FOLDER.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify the log itself: every event's hash, positions, versions, the tree and every signature.

    Nothing is changed, and appends go on. Exit status 1: something is wrong; the findings say where.
    """
    from byjy_ops.auditing import audit_log

    run(
        context,
        lambda database: audit_log(database, key or (), signing_key, checkpoints or (), as_json=as_json),
    )
