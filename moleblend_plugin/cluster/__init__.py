"""Builds, predictions and embeddings on a cluster: Dask distributes, the work is that of one machine.

A task of the cluster is one piece of the rows. It does not compute in the cluster's worker, but in a process
of its own (``cluster.child``), which does what a command on one machine does, and leaves its result in a file
that all machines see. So a molecule that ends its process costs no worker, the pages of files that the
process maps do not count as the worker's memory, and nothing stays open behind a task. What is returned is a
few numbers.
"""
