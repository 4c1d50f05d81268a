"""The event consumer: messages become durable rows first, and have their effect afterwards."""

from spotd.loops.events.consumer import EventConsumer
from spotd.loops.events.effects import Effects
from spotd.loops.events.intake import Intake
from spotd.loops.events.receiving import Receiver

__all__ = ["Effects", "EventConsumer", "Intake", "Receiver"]
