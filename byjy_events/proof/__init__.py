"""Proofs: a Merkle tree over the log, checkpoints signed outside the database, and what anybody can check offline."""

from byjy_events.proof.appended_file import AppendedFile
from byjy_events.proof.checkpoint import Checkpoint, checkpoint_of
from byjy_events.proof.errors import (
    ExportFailed,
    HistoryChanged,
    InvalidNote,
    InvalidSigningKey,
    LogAltered,
    LogRolledBack,
    NotSigned,
    ProofBroken,
    SealTimeout,
)
from byjy_events.proof.folder import Folder
from byjy_events.proof.note import Signer, Verifier, verifier_of
from byjy_events.proof.place import CheckpointPlace, StandardOutput
from byjy_events.proof.sealer import Sealer
from byjy_events.proof.signing_key_file import SigningKeyFile, SigningKeys

__all__ = [
    "AppendedFile",
    "Checkpoint",
    "CheckpointPlace",
    "ExportFailed",
    "Folder",
    "HistoryChanged",
    "InvalidNote",
    "InvalidSigningKey",
    "LogAltered",
    "LogRolledBack",
    "NotSigned",
    "ProofBroken",
    "SealTimeout",
    "Sealer",
    "Signer",
    "SigningKeyFile",
    "SigningKeys",
    "StandardOutput",
    "Verifier",
    "checkpoint_of",
    "verifier_of",
]
