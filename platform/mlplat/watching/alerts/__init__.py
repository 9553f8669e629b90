"""What people are told of, one module a subject."""
