"""Processes: the supervisor, its worker processes, their leases on jobs, and the sweep after dead processes."""
