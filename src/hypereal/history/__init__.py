"""Stored responses: what `previous_response_id` goes on from and `GET /v1/responses/{id}` shows (api.md section 7)."""

from hypereal.history.store import History, Kept

__all__ = ["History", "Kept"]
