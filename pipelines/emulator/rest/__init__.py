"""The REST resources below `/services/data/vXX.X`, except jobs: records, collections, composites,
queries, searches, describes, layouts and limits. Each class has one method per HTTP method and
path; `routes.py` connects them to paths.
"""
