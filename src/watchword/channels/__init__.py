"""The ways to reach people: what each takes, and the words it says."""
