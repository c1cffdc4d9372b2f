"""Tampering with a log behind its back, and whether the audit finds it: in the suite, and as a campaign by itself."""
