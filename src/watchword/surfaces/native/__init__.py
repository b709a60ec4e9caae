"""The native dialect: one resource, one verb to check it, errors as problem+json."""
