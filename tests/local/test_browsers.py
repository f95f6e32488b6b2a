"""A web page in the developer's browser cannot use what a local run starts: the cloud and the external systems.

Each test sends what a page can make a browser send, with the headers that Chromium adds.
"""

import http.client
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from daybook.local.browsers import refusal
from daybook.local.cloud import Cloud
from daybook.local.provider import Provider

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
# (what the page does, the headers that it causes)
PAGES = {
    "a script on another port": {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-site"},
    "a script of another site": {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
    "a script in a sandbox": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    "an image": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    "a link": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
    "a redirect of an address that the user has typed": {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
    "an image in an old browser": {"Referer": "http://evil.example/"},
    "a script of a name that resolves to 127.0.0.1": {"Host": "evil.example:4566"},
    "the same, with a name that looks like ours": {"Host": "127.0.0.1.evil.example"},
    "the same, with a name below ours": {"Host": "evil.localhost:4566"},
    "the same, with a user name": {"Host": "127.0.0.1:4566@evil.example"},
}
pages = pytest.mark.parametrize("headers", PAGES.values(), ids=PAGES)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Cloud(project=Path(tmp_path_factory.mktemp("project"))) as cloud:
        yield cloud


def requested(url: str, method: str, path: str, headers: Mapping[str, str], body: str = "") -> tuple[int, str]:
    """The status and the text that a server answers."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def queues(cloud: Cloud) -> list[str]:
    return [url.rsplit("/", 1)[1] for url in cloud.client("sqs").list_queues().get("QueueUrls", [])]


def test_without_the_headers_of_a_browser_the_same_request_is_answered(cloud: Cloud) -> None:
    form = "Action=CreateQueue&QueueName=allowed&Version=2012-11-05"

    assert requested(cloud.endpoint, "POST", "/", FORM, form)[0] == 200
    assert "allowed" in queues(cloud)
    cloud.client("sqs").delete_queue(QueueUrl=f"{cloud.endpoint}/000000000000/allowed")


@pages
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_page_cannot_create_a_queue_in_the_cloud(cloud: Cloud, headers: Mapping[str, str], method: str) -> None:
    query = "Action=CreateQueue&QueueName=of-a-page&Version=2012-11-05"
    path, body = ("/", query) if method == "POST" else (f"/?{query}", "")

    status, text = requested(cloud.endpoint, method, path, FORM | dict(headers), body)

    assert (status, queues(cloud)) == (403, [])
    assert "The local run answers" in text


@pages
def test_a_page_can_neither_reset_the_cloud_nor_read_its_e_mails(cloud: Cloud, headers: Mapping[str, str]) -> None:
    cloud.client("sqs").create_queue(QueueName="kept")

    assert requested(cloud.endpoint, "POST", "/_ministack/reset", headers)[0] == 403
    assert requested(cloud.endpoint, "GET", "/_ministack/ses/messages", headers)[0] == 403
    assert queues(cloud) == ["kept"]
    cloud.client("sqs").delete_queue(QueueUrl=f"{cloud.endpoint}/000000000000/kept")


def test_a_page_gets_no_permission_for_requests_with_other_headers(cloud: Cloud) -> None:
    """The preflight, which precedes requests that a form cannot make: https://fetch.spec.whatwg.org/#cors-preflight-fetch."""
    asked = {
        "Origin": "http://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-amz-target",
    }

    assert requested(cloud.endpoint, "OPTIONS", "/", asked)[0] == 403


def test_a_page_cannot_open_a_web_socket(cloud: Cloud) -> None:
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Origin": "http://evil.example",
    }

    assert requested(cloud.endpoint, "GET", "/mqtt", handshake)[0] == 403


@pages
def test_a_page_cannot_use_the_payment_provider(provider: Provider, headers: Mapping[str, str]) -> None:
    payment = FORM | {"Authorization": f"Bearer {provider.key}"}
    form = "amount=1250&currency=eur"
    assert requested(provider.endpoint, "POST", "/v1/payment_intents", payment, form)[0] == 200

    assert requested(provider.endpoint, "POST", "/v1/payment_intents", payment | dict(headers), form)[0] == 403
    assert requested(provider.endpoint, "POST", "/_stand-in/reset", headers)[0] == 403
    assert len(provider.book().payments) == 1


@pytest.mark.parametrize("hosts", [[], ["127.0.0.1", "evil.example"], [""], ["127.0.0.1:"], ["127.0.0.1\n"]])
def test_a_request_names_exactly_one_host_which_is_this_machine(hosts: list[str]) -> None:
    assert refusal(("Host", host) for host in hosts)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:4566", "localhost", "localhost:1"])
def test_a_program_on_this_machine_is_answered(host: str) -> None:
    assert refusal([("host", host), ("User-Agent", "aws-cli/2"), ("Authorization", "AWS4-HMAC-SHA256 …")]) is None
