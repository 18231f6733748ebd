"""The rules of the house that machines keep."""
