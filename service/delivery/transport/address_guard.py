"""The IP addresses that webhooks may be sent to. Pure; `http` checks every address it connects to.

The list is our own: `ipaddress.is_global` changes with the Python version and allows 6to4, NAT64 and site-local forms,
behind which a private address can hide.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from service.runtime.settings import Network

_IPV4_CLOSED = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network; 0.0.0.0 reaches the local host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT, and a cloud's metadata at 100.100.100.200
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud's host agent, at a public address
        "169.254.0.0/16",  # link-local, and the metadata of most clouds at 169.254.169.254
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments, and a cloud's metadata at 192.0.0.192
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT relays
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)

_IPV6_OPEN = IPv6Network("2000::/3")
"""All of global unicast. Outside it: unspecified, loopback, IPv4-compatible and NAT64 forms, unique-local and
site-local, link-local, multicast, segment routing, and all unassigned ranges.
"""

_IPV6_CLOSED = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: holds an IPv4 address
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # 6bone, returned
        "3fff::/20",  # documentation
    )
)


def is_permitted(address: str, allow: Sequence[Network]) -> bool:
    """True if `address`, as a resolver or a socket writes it, is public or in a range of `allow`.

    IPv4 mapped into IPv6 counts as IPv4. Anything that isn't an address, or has a zone, is not permitted.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        if parsed.scope_id is not None:
            return False
        parsed = parsed.ipv4_mapped or parsed
    return any(parsed in network for network in allow) or _public(parsed)


def _public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _IPV4_CLOSED)
    return address in _IPV6_OPEN and not any(address in network for network in _IPV6_CLOSED)
