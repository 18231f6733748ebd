"""What people see in a browser at the root: landing page, references, development sign-in, mailbox."""
