"""Bulk API 2.0: ingest and query jobs, their uploads and their result files. `api.py` has the HTTP
resources, `jobs.py` the jobs, and `processing.py` runs a closed job in a background thread.
Large files are handled by column with Arrow and numpy.
"""
