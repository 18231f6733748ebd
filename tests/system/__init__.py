"""The whole company, as a user meets it: real processes, real servers, the story over HTTP."""
