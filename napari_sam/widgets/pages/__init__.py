"""The pages of the dock: each has a panel, which is all that the user sees, and a controller."""
