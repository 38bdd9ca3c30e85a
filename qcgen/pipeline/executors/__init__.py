"""Ways of working through a run's shards, one `work_through` a file. May import `core`; to add one, write a file."""
