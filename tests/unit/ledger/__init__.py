"""Tests of the ledger files, the journal and its replay."""
