"""The address that a request counts for."""

import ipaddress
import re

from flask import request

# As some proxies write it: `192.0.2.1:51234`, `[2001:db8::1]`, `[2001:db8::1]:51234`.
_DRESSED = re.compile(r"\[(?P<v6>[^]]+)\](:\d+)?|(?P<v4>[\d.]+):\d+")


def client_address() -> str:
    """The client's address; of IPv6 the first half, because people are given all of the second.

    Behind proxies that TRUSTED_PROXIES counts, the address is the one that the first of them saw.
    """
    named = request.remote_addr or ""
    if dressed := _DRESSED.fullmatch(named):
        named = dressed["v6"] or dressed["v4"]
    try:
        address = ipaddress.ip_address(named)
    except ValueError:
        return named[:64]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))
