"""Archives of finished studies: writing them, and verifying them on another machine."""
