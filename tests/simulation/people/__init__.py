"""Who deals with the company: customers, its own staff, partners. Each acts on what it is told, by its own dice."""
