"""Reading images of any size lazily, and writing pyramids."""
