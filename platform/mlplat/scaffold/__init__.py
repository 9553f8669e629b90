"""Making projects from templates."""
