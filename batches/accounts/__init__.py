"""Signing in: passwords, second factors, passkeys, OpenID Connect, sessions, and the proof that a user is still there.

django-allauth does the protocols. This package limits guesses, ends sessions, writes the audit, and maps groups.
"""
