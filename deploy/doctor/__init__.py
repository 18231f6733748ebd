"""`mainstay doctor`: looks at everything an installation depends on, one module per thing, and changes nothing."""
