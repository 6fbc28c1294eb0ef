"""The guard against being sent to places that only this machine can reach: a corpus of ways to ask for it."""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from service.delivery.transport.address_guard import is_permitted
from service.delivery.transport.url_rules import check_headers, check_url
from service.runtime.errors import HealthError
from service.runtime.settings import Network


def words(text: str) -> list[str]:
    return text.split()


CLOSED = words("""
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1
192.88.99.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.7 224.0.0.1 239.255.255.255
240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::a9fe:a9fe ::ffff:127.0.0.1 ::ffff:7f00:1 ::ffff:169.254.169.254 ::ffff:0:127.0.0.1
64:ff9b::a9fe:a9fe 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::a00:1 100::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2
2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe:: 2002:c0a8:101::1 3ffe::1 3fff::1 5f00::1
fc00::1 fd00:ec2::254 fd20:ce::254 fdff::1 fe80::1 fe80::a9fe:a9fe febf::1 fec0::1 feff::1 ff02::1 ff0e::1 4000::1
8000::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff fe80::1%eth0 fe80::1%1 2606:4700::1111%lo ::ffff:8.8.8.8%1
127.1 127.0.0.01 0x7f.0.0.1 2130706433 localhost [::1] 127.0.0.1:80 1.2.3.4/32
""")

OPEN = words("""
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 168.63.129.15
168.63.129.17 169.253.255.255 169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0
198.17.255.255 198.20.0.0 203.0.112.255 223.255.255.255
2001:200::1 2001:4860:4860::8888 2003::1 2606:4700::1111 2a00:1450::1 3ffd::1 ::ffff:8.8.8.8
""")


@pytest.mark.parametrize("address", CLOSED)
def test_closed_addresses(address: str) -> None:
    assert not is_permitted(address, ())


@pytest.mark.parametrize("address", ["", " 1.1.1.1", "1.1.1.1 ", "1.1.1.1\n", "\uff11.1.1.1", "\u0661.1.1.1"])
def test_what_is_no_plain_address_is_closed(address: str) -> None:
    assert not is_permitted(address, ())


@pytest.mark.parametrize("address", OPEN)
def test_open_addresses_up_to_the_edges_of_closed_ranges(address: str) -> None:
    assert is_permitted(address, ())


@given(st.ip_addresses(v=4))
def test_mapping_into_ipv6_changes_nothing(address: IPv4Address) -> None:
    assert is_permitted(f"::ffff:{address}", ()) == is_permitted(str(address), ())


@given(st.ip_addresses())
def test_nothing_that_the_library_knows_to_be_special_is_open(address: IPv4Address | IPv6Address) -> None:
    if is_permitted(str(address), ()):
        plain = getattr(address, "ipv4_mapped", None) or address
        assert not any([plain.is_private, plain.is_loopback, plain.is_link_local, plain.is_multicast])
        assert not any([plain.is_reserved, plain.is_unspecified])


@pytest.mark.parametrize(
    ("address", "allow", "open_"),
    [
        ("10.1.2.3", ["10.1.0.0/16"], True),
        ("10.2.0.0", ["10.1.0.0/16"], False),
        ("::ffff:10.1.2.3", ["10.1.0.0/16"], True),
        ("127.0.0.1", ["10.0.0.0/8", "127.0.0.0/8"], True),
        ("::1", ["127.0.0.0/8"], False),
        ("fd00::1", ["fd00::/8"], True),
        ("fe80::1%eth0", ["fe80::/10"], False),
        ("8.8.8.8", ["10.0.0.0/8"], True),
        ("169.254.169.254", ["10.0.0.0/8"], False),
    ],
)
def test_the_operator_opens_ranges_and_nothing_beside(address: str, allow: list[str], open_: bool) -> None:
    assert is_permitted(address, networks(allow)) is open_


HOSTILE = words(r"""
https://127.0.0.1/ https://127.0.0.1:8443/x https://127.1/ https://127.0.1/ https://2130706433/ https://017700000001/
https://0x7f000001/ https://0x7f.0.0.1/ https://0177.0.0.1/ https://127.0.0.1./ https://0/ https://0.0.0.0/
https://00000000.0.0.0/ https://4294967295/ https://256.256.256.256/ https://1.2.3/ https://1.2.3.4.5/ https://0x/
https://foo.0x7f000001/ https://foo.127/ https://127.0.0.1:443 https://127.0.0.1?x https://127.0.0.1#x
https://[::1]/ https://[::]/ https://[::ffff:127.0.0.1]/ https://[::ffff:7f00:1]/ https://[::127.0.0.1]/
https://[0:0:0:0:0:0:0:1]/ https://[fe80::1%25eth0]/ https://[fe80::1%eth0]/ https://[2606:4700::1111%25lo]/
https://[fc00::1]/ https://[fec0::1]/ https://[5f00::1]/ https://[64:ff9b::a9fe:a9fe]/ https://[2002:a9fe:a9fe::]/
https://[fd00:ec2::254]/ https://[v1.fe80::a+en1]/ https://[::1 https://[]@/ https://[]/ https://::1/ https://[::1]extra/
https://169.254.169.254/latest/meta-data https://168.63.129.16/ https://100.100.100.200/ https://10.0.0.8/
https://192.168.1.1/ https://172.16.3.4/ https://localhost/ https://LOCALHOST/ https://localhost./
https://foo.localhost/ https://user@example.com/ https://user:password@example.com/ https://@127.0.0.1/
https://:password@example.com/ https://example.com@127.0.0.1/ https://127.0.0.1#@example.com/
https://127.0.0.1?@example.com/ https://example.com\@127.0.0.1/ https://127.0.0.1\example.com/ http://example.com/
ftp://example.com/ file:///etc/passwd gopher://127.0.0.1:6379/_x unix:///var/run/docker.sock javascript:alert(1)
//example.com/ example.com /path https:example.com https:/example.com https:///example.com https:// https://#
https://example..com/ https://.example.com/ https://-example.com/ https://exa%6Dple.com/ https://%31%32%37.0.0.1/
https://example.com%00.evil.com/ https://example.com:0/ https://example.com:65536/ https://example.com:-1/
https://example.com:port/ https://exam<ple.com/ https://a*b.com/
""")
HOSTILE += [
    "",
    "https://\uff11\uff12\uff17.0.0.1/",  # fullwidth digits
    "https://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460/",  # circled digits
    "https://127\u30020\u30020\u30021/",  # ideographic full stops
    "https://\u24dbocalhost/",  # circled l
    "https://exa mple.com/",
    "https://example.com/a b",
    "https://example.com/\r\nHost: evil",
    "https://exa\tmple.com/",
    "https://example.com/\x00",
    "https://exam\u200bple.com/",
    "\u00a0https://example.com/",
    " https://example.com/",
    "https://example.com/" + "a" * 2048,
    "https://" + "a" * 64 + ".com/",
    "https://" + "a." * 127 + "com/",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_urls_are_refused_with_the_field_and_a_remedy(url: str) -> None:
    with pytest.raises(HealthError, match=r"^url ") as caught:
        check_url(url, allow_http=False, allow=())
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("url", "requested"),
    [
        ("https://example.com", "https://example.com"),
        ("https://Example.COM:8443/Hook?a=1&b=%20", "https://example.com:8443/Hook?a=1&b=%20"),
        ("https://example.com./hook", "https://example.com./hook"),
        ("https://hooks.example.com/a%2Fb", "https://hooks.example.com/a%2Fb"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("https://my_host.example/", "https://my_host.example/"),
        ("https://1.1.1.1/", "https://1.1.1.1/"),
        ("https://[2606:4700::1111]:8443/", "https://[2606:4700::1111]:8443/"),
        ("https://example.com/#fragment", "https://example.com/"),
        ("https://3com.example/", "https://3com.example/"),
        ("https://localhost.example/", "https://localhost.example/"),
    ],
)
def test_good_urls_come_back_as_they_will_be_requested(url: str, requested: str) -> None:
    assert check_url(url, allow_http=False, allow=()) == requested
    assert check_url(requested, allow_http=False, allow=()) == requested


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/", "http://localhost:9000/", "http://[::1]/", "http://10.0.0.1/"]
)
def test_what_the_operator_opened_is_accepted(url: str) -> None:
    opened = networks(["127.0.0.0/8", "::1/128", "10.0.0.0/8"])
    assert check_url(url, allow_http=True, allow=opened) == url
    with pytest.raises(HealthError, match="https"):
        check_url(url, allow_http=False, allow=opened)


@given(st.text(st.sampled_from("0123456789abcdefx.:%[]@/#?\\ \t\uff11\u3002\u24dblocahst-_"), max_size=30))
def test_whatever_passes_names_no_address_that_is_closed(host: str) -> None:
    try:
        url = check_url(f"https://{host}/", allow_http=False, allow=())
    except HealthError:
        return
    accepted = URL(url).raw_host
    assert accepted
    assert numeric(accepted) is None or is_permitted(str(numeric(accepted)), ())


def numeric(host: str) -> str | None:
    """The address that the system's resolver reads into `host` without asking anyone; None if it is a name."""
    try:
        return str(socket.getaddrinfo(host, 443, flags=socket.AI_NUMERICHOST)[0][4][0])
    except (OSError, UnicodeError):
        return None


def networks(texts: Sequence[str]) -> list[Network]:
    return [ip_network(text) for text in texts]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil"},
        {"content-length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"Webhook-Signature": "v1,x"},
        {"webhook-anything": "x"},
        {"Proxy-Authorization": "x"},
        {"X-A": "a\r\nHost: evil"},
        {"X-A": "a\nb"},
        {"X-A": "a\0b"},
        {"X-A": "ü"},
        {"X A": "a"},
        {"X-A:": "a"},
        {"": "a"},
        {"X-Ü": "a"},
        {f"X-{n}": "a" for n in range(21)},
        {"X-A": "a" * 5000},
    ],
)
def test_headers_that_would_change_the_message_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(HealthError, match=r"^headers ") as caught:
        check_headers(headers)
    assert caught.value.remedy


def test_a_header_comes_once_whatever_its_case() -> None:
    with pytest.raises(HealthError, match="contain x-tenant twice"):
        check_headers({"X-Tenant": "42", "x-tenant": "43"})


def test_other_headers_are_accepted() -> None:
    check_headers({"Authorization": "Bearer abc", "X-Tenant": "42", "X-Empty": ""})
