"""The rules of notify by kind of decision; each lives beside its noun."""

from __future__ import annotations

from shared.kernel.judgement import Judgements

judgements = Judgements()
