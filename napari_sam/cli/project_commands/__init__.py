"""The commands of projects, one file per topic."""
