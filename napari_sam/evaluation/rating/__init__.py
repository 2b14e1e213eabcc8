"""The rating study: people rate masks without knowing their source."""
