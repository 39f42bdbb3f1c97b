"""A file becomes records.

In comes an uploaded file: CSV or other delimited text in any encoding, or a spreadsheet. Out come its layout (which
columns it has, and which one holds the address) and its records, each a list of cells. A file that can't be read
raises a ListRefused, whose message names the line. This package knows no tables and no SQL.
"""
