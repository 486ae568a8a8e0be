"""The address that a request counts for."""

import ipaddress

from flask import request


def client_address() -> str:
    """The client's address; of IPv6 the first half, because people are given all of the second.

    Behind proxies that TRUSTED_PROXIES counts, the address is the one that the first of them saw.
    """
    named = request.remote_addr or ""
    try:
        address = ipaddress.ip_address(named)
    except ValueError:
        return named[:64]
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((int(address), 64), strict=False))
