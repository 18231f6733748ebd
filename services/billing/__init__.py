"""Invoices, payments, their audit and the customer's credit."""
