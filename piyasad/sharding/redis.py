"""What shards share through Redis. PostgreSQL is the truth; without Redis every shard works on alone.

The engine runs it where Redis is configured and there is more than one shard. Quotas are shared here; it builds the
parts and hands them to the gateway.
"""

from __future__ import annotations

from piyasad.clock import Clock
from piyasad.config import Settings
from piyasad.gateway.gateway import Gateway
from piyasad.gateway.quota.budget import LONGEST_MONTH
from piyasad.gateway.sharing import Sharing, State
from piyasad.metrics import Metrics
from piyasad.model import Usage
from piyasad.store.buckets import SharedBuckets, SharedLost
from piyasad.store.interface import Store, StoreError


class RedisSharing:
    """One shard's end of it."""

    def __init__(
        self,
        settings: Settings,
        shard: tuple[int, int],
        store: Store,
        gateway: Gateway,
        buckets: SharedBuckets,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._buckets = buckets
        self._sharing = Sharing(
            self._buckets,
            gateway.endpoints,
            clock,
            shard=shard[0],
            shards=shard[1],
            longest_call=settings.gateway.timeout_seconds,
            usage=self._usage,
            changed=gateway.look_again,
            up=self._up,
        )
        gateway.share_with(self._sharing)

    @property
    def together(self) -> bool:
        """Whether this shard shares with the others now."""
        return self._sharing.state is State.TOGETHER

    async def run(self) -> None:
        """Until cancelled."""
        await self._sharing.run()

    async def close(self) -> None:
        """After the gateway was closed: settle what is open, let go of Redis."""
        await self._sharing.close()
        await self._buckets.close()

    async def _usage(self) -> list[Usage]:
        try:
            return await self._store.usage(self._clock.wall() - LONGEST_MONTH)
        except StoreError as error:
            raise SharedLost(f"the store cannot be asked what was used: {error}") from error

    def _up(self, up: bool) -> None:
        if self._metrics.redis_up is not None:
            self._metrics.redis_up.set(1 if up else 0)
