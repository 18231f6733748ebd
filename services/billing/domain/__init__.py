"""What billing decides, in plain Python: tax, invoices, payments, evidence, credit."""
