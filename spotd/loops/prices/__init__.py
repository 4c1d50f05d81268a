"""Keep the market fresh: Spot and on-demand prices, interruption bands, type facts, CPU use."""

from spotd.loops.prices.scraper import PriceScraper, PricesResult

__all__ = ["PriceScraper", "PricesResult"]
