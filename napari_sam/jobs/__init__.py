"""Resumable work over whole images, folders and stacks."""
