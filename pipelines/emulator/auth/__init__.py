"""Logins and sessions as clients see them: the OAuth endpoints, identity URLs and the SOAP login.
The sessions themselves are kept in `org/sessions.py`.
"""
