"""A file becomes records: recognise it, decode it, find its layout, read its rows. No tables, no SQL."""
