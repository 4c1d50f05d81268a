"""What health reads from the store, in one go, and remembers for as long as the store is away."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from spotd.store import heartbeats, inbox, models, passes
from spotd.store.db import Database
