"""A file becomes records.

An uploaded file enters: CSV or other delimited text in any encoding, or a spreadsheet. Its layout leaves (which
columns it has, and which one holds the address), with its records, each a list of cells. A file that can't be read
raises a ListRefused, whose message names the line. This package knows no tables and no SQL.
"""
