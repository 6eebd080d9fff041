"""What each family of networks tells of itself to a study."""
