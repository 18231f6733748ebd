"""Routes and the shapes of requests and responses."""
