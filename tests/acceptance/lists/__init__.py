"""Lists as people really have them: the cases, the files that they need, and the judge."""
