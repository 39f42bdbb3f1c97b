"""Jobs from creation to end, their lanes' work items, and the sweep. Only this package and the worker use RQ."""
