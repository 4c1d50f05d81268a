"""What the simulator is asked to be."""

from dataclasses import dataclass
from pathlib import Path

from spotd.sim.geography import ENABLED_BY_DEFAULT

FLEET_REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Size, seed and pace of the simulated world.

    `instances` is the total over all accounts. `interrupt_after`, `interrupt_every`, `rebalance_every` are seconds,
    counted from the first time somebody listens to the queue; 0 means never. `speed` divides the waits that AWS
    prescribes (two minutes of notice). `latency` is added to each answer, in seconds.
    """

    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 7
    accounts: int = 2
    instances: int = 300
    regions: tuple[str, ...] = FLEET_REGIONS
    enabled: tuple[str, ...] = ENABLED_BY_DEFAULT
    data: Path | None = None
    state_file: Path | None = None
    parent_pid: int | None = None
    watch_stdin: bool = False
    interrupt_after: float = 12.0
    interrupt_every: float = 240.0
    rebalance_every: float = 150.0
    speed: float = 1.0
    latency: float = 0.0

    @property
    def enabled_regions(self) -> tuple[str, ...]:
        """Every region an account may use; us-east-1 is among them, as nobody can switch it off."""
        return tuple(sorted({"us-east-1", *self.enabled, *self.regions}))
