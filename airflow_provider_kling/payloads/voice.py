"""Kling voices, of which nothing but the price is published."""

from __future__ import annotations

from airflow_provider_kling.payloads.base import PartlyKnownPayload


class CreateVoice(PartlyKnownPayload):
    """A voice for other models to speak with. No parameter is known: all are passed on unchecked."""

    slug = "kling-create-voice"
    title = "Kling Create Voice"
    output = "voice"
    usual_latency = 26.0
    usual_cost = 0.007
