"""sentence-transformers on several ranks: imported once, before the ranks are forked."""

from __future__ import annotations

from typing import Any

from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss


def mnr_gathered(queries: Any, keys: Any, temperature: float) -> Any:
    """MultipleNegativesRankingLoss with gather_across_devices."""
    loss = MultipleNegativesRankingLoss(None, scale=1 / float(temperature), gather_across_devices=True)
    return loss.compute_loss_from_embeddings([queries, keys], None)


def mnr_apart(queries: Any, keys: Any, temperature: float) -> Any:
    """MultipleNegativesRankingLoss as it is by default."""
    return MultipleNegativesRankingLoss(None, scale=1 / float(temperature)).compute_loss_from_embeddings(
        [queries, keys], None
    )
