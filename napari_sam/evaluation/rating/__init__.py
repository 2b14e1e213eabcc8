"""The rating study: people judge masks blind."""
