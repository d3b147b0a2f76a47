"""Bulk API 1.0 under `/services/async`, which older clients still use, in CSV, XML and JSON. A
batch is processed while its request is handled, so it is complete when a client first asks for
its state.
"""
