"""The flow of the README with the generated Python client: from an affiliate to the postback that arrives."""

import os
import time

import httpx
from postrider_client import AuthenticatedClient
from postrider_client.api.affiliates import create_affiliate
from postrider_client.api.conversions import create_conversions
from postrider_client.api.deliveries import list_deliveries
from postrider_client.api.links import create_link
from postrider_client.api.offers import create_offer
from postrider_client.api.postbacks import create_postback
from postrider_client.models import (
    AffiliateIn,
    AffiliateOut,
    ConversionIn,
    ConversionOut,
    ConversionStatus,
    DeliveryStatus,
    FiringStatus,
    LinkIn,
    LinkOut,
    OfferIn,
    OfferOut,
    PayoutIn,
    PostbackIn,
    PostbackInConfigType0,
    PostbackOut,
    Problem,
)

# Long waits end only what hangs, also on a slow machine.
WAIT_SECS_MAX = 600
TRACKER = os.environ["TRACKER_URL"]


def main():
    url, key = os.environ["POSTRIDER_URL"], os.environ["POSTRIDER_KEY"]
    with AuthenticatedClient(url, key, timeout=httpx.Timeout(WAIT_SECS_MAX)) as client:
        link = create_program(client)
        click_id = follow(link.url)
        report_twice(client, click_id)
        wait_for_delivery(client)
        an_error_is_a_problem(client)
    received = httpx.get(f"{TRACKER}/received", timeout=WAIT_SECS_MAX).json()
    assert {"clickid": "w8f3k2", "payout": "12.50"} in received, received
    print("the postback arrived with the Python client")


def create_program(client):
    affiliate = create_affiliate.sync(client=client, body=AffiliateIn(name="Ada", email="ada@example.com"))
    assert isinstance(affiliate, AffiliateOut), affiliate
    terms = OfferIn(
        name="Pro", landing_url="https://shop.example/?cid={click_id}", currency="USD", payout=PayoutIn(fixed="12.50")
    )
    offer = create_offer.sync(client=client, body=terms)
    assert isinstance(offer, OfferOut), offer
    link = create_link.sync(client=client, body=LinkIn(affiliate_id=affiliate.id, offer_id=offer.id))
    assert isinstance(link, LinkOut), link
    parameters = [{"name": "clickid", "macro": "external_click_id"}, {"name": "payout", "macro": "payout"}]
    config = PostbackInConfigType0.from_dict({"base_url": f"{TRACKER}/postback", "parameters": parameters})
    body = PostbackIn(
        name="My tracker", adapter="macro-url", firing_status=FiringStatus.APPROVED, config=config
    )
    postback = create_postback.sync(client=client, body=body)
    assert isinstance(postback, PostbackOut), postback
    return link


def follow(url):
    """Follows the link as a visitor; the id of the click is in the address of the landing page."""
    redirect = httpx.get(url, params={"click_id": "w8f3k2"}, timeout=WAIT_SECS_MAX)
    return httpx.URL(redirect.headers["location"]).params["cid"]


def report_twice(client, click_id):
    sale = ConversionIn(
        click_id=click_id, transaction_id="T-1", status=ConversionStatus.APPROVED, amount="49.00"
    )
    first = create_conversions.sync_detailed(client=client, body=sale, idempotency_key="T-1")
    assert first.status_code == 201 and isinstance(first.parsed, ConversionOut), first
    again = create_conversions.sync_detailed(client=client, body=sale)
    assert again.status_code == 200 and isinstance(again.parsed, ConversionOut), again
    assert again.parsed.id == first.parsed.id


def wait_for_delivery(client):
    deadline = time.monotonic() + WAIT_SECS_MAX
    while time.monotonic() < deadline:
        page = list_deliveries.sync(client=client, limit=10)
        if [delivery.status for delivery in page.items] == [DeliveryStatus.SUCCESS]:
            return
        time.sleep(0.1)
    raise AssertionError(f"the delivery did not succeed: {page}")


def an_error_is_a_problem(client):
    error = create_affiliate.sync(client=client, body=AffiliateIn(name="", email="ada@example.com"))
    assert isinstance(error, Problem) and error.code == "invalid_field", error
    assert [issue.path for issue in error.errors] == ["/name"], error


main()
