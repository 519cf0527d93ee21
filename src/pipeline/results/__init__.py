"""Every file that a stage writes or reads, and the folder it is in."""
