"""Proofs: a Merkle tree over the log, checkpoints signed outside the database, and what anybody can check offline."""

from byjy_events.proof.appended_file import AppendedFile
from byjy_events.proof.auditing import audit
from byjy_events.proof.checkpoint import Checkpoint, checkpoint_of
from byjy_events.proof.consistency import Consistency, checked_consistency, consistency_proof
from byjy_events.proof.errors import (
    ExportFailed,
    HistoryChanged,
    InvalidNote,
    InvalidSigningKey,
    LogAltered,
    LogRolledBack,
    NoSigningKey,
    NotCovered,
    NotSigned,
    ProofBroken,
    SealTimeout,
    UnknownEventId,
)
from byjy_events.proof.event_text import ProvenEvent
from byjy_events.proof.finding import Audit, Finding, FindingKind
from byjy_events.proof.folder import Folder
from byjy_events.proof.inclusion import Inclusion, checked_inclusion, inclusion_proof
from byjy_events.proof.note import Signer, Verifier, verifier_of
from byjy_events.proof.place import CheckpointPlace, StandardOutput
from byjy_events.proof.sealer import Sealer
from byjy_events.proof.signing_key_file import SigningKeyFile, SigningKeys

__all__ = [
    "AppendedFile",
    "Audit",
    "Checkpoint",
    "CheckpointPlace",
    "Consistency",
    "ExportFailed",
    "Finding",
    "FindingKind",
    "Folder",
    "HistoryChanged",
    "Inclusion",
    "InvalidNote",
    "InvalidSigningKey",
    "LogAltered",
    "LogRolledBack",
    "NoSigningKey",
    "NotCovered",
    "NotSigned",
    "ProofBroken",
    "ProvenEvent",
    "SealTimeout",
    "Sealer",
    "Signer",
    "SigningKeyFile",
    "SigningKeys",
    "StandardOutput",
    "UnknownEventId",
    "Verifier",
    "audit",
    "checked_consistency",
    "checked_inclusion",
    "checkpoint_of",
    "consistency_proof",
    "inclusion_proof",
    "verifier_of",
]
