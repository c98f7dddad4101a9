"""The regions of the hosted platform, for programs that choose one; here everything runs locally.

Platforms of 2026-03 listed them; of later ones the codes are left (`contract/workflows.md` §5.14).
"""

from __future__ import annotations

import sqlite3

from strait.server.http import Call, Reply, reply
from strait.server.registry import Registry

registry = Registry()

# By the IATA code of an airport nearby: city, country, continent.
_REGIONS = {
    "ams": ("Amsterdam", "NL", "Europe"),
    "arn": ("Stockholm", "SE", "Europe"),
    "atl": ("Atlanta", "US", "North America"),
    "bog": ("Bogotá", "CO", "South America"),
    "bom": ("Mumbai", "IN", "Asia"),
    "bos": ("Boston", "US", "North America"),
    "cdg": ("Paris", "FR", "Europe"),
    "den": ("Denver", "US", "North America"),
    "dfw": ("Dallas", "US", "North America"),
    "ewr": ("Secaucus", "US", "North America"),
    "eze": ("Buenos Aires", "AR", "South America"),
    "fra": ("Frankfurt", "DE", "Europe"),
    "gdl": ("Guadalajara", "MX", "North America"),
    "gig": ("Rio de Janeiro", "BR", "South America"),
    "gru": ("São Paulo", "BR", "South America"),
    "hkg": ("Hong Kong", "HK", "Asia"),
    "iad": ("Ashburn", "US", "North America"),
    "icn": ("Seoul", "KR", "Asia"),
    "jnb": ("Johannesburg", "ZA", "Africa"),
    "lax": ("Los Angeles", "US", "North America"),
    "lhr": ("London", "GB", "Europe"),
    "mad": ("Madrid", "ES", "Europe"),
    "mia": ("Miami", "US", "North America"),
    "nrt": ("Tokyo", "JP", "Asia"),
    "ord": ("Chicago", "US", "North America"),
    "otp": ("Bucharest", "RO", "Europe"),
    "phx": ("Phoenix", "US", "North America"),
    "qro": ("Querétaro", "MX", "North America"),
    "scl": ("Santiago", "CL", "South America"),
    "sea": ("Seattle", "US", "North America"),
    "sin": ("Singapore", "SG", "Asia"),
    "sjc": ("San Jose", "US", "North America"),
    "syd": ("Sydney", "AU", "Oceania"),
    "waw": ("Warsaw", "PL", "Europe"),
    "yul": ("Montreal", "CA", "North America"),
    "yyz": ("Toronto", "CA", "North America"),
}


@registry.read("list-regions")
def list_all(call: Call, db: sqlite3.Connection) -> Reply:
    """List the regions of the hosted platform; `availability` says that none is here."""
    regions = [
        {
            "code": code,
            "label": f"{city}, {country}",
            "city": city,
            "country": country,
            "continent": continent,
            "availability": {"platform": True, "embedded": False},
        }
        for code, (city, country, continent) in _REGIONS.items()
    ]
    return reply({"regions": regions})
