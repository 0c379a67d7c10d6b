"""Diagnosis of an experiment before it runs: `lagem doctor` tests its data and settings, and trains a few steps."""
