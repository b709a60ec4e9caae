"""Who exists in each dialect's world, and what a used code changes there."""
