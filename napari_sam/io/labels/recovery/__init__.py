"""What happens before a label store is opened: its files are checked, and damage of an earlier end is mended."""
