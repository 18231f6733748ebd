"""The bus: one contract suite on every log, and stories of its parts."""
