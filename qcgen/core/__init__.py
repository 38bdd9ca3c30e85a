"""Types, job specs, protocols without tensors, errors. May import the standard library, pydantic and ruamel.yaml
only."""
