"""Checks: what in a dataset would hurt the model, with counts, reasons and rows to jump to."""
