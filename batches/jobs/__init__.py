"""Create, pause, resume, cancel and replay jobs, ring the doorbell, sweep: the only user of RQ besides the worker."""
