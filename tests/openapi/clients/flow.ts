// The flow of the README with the generated TypeScript client: from an affiliate to the postback that arrives.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./postrider.js";

// A long wait ends only what hangs, also on a slow machine.
const WAIT_MS_MAX = 600_000;
const tracker = setting("TRACKER_URL");
const client = createClient<paths>({
  baseUrl: setting("POSTRIDER_URL"),
  headers: { Authorization: `Bearer ${setting("POSTRIDER_KEY")}` },
});

function setting(name: string): string {
  const value = process.env[name];
  assert(value, `${name} is not set`);
  return value;
}

async function createProgram(): Promise<string> {
  const affiliate = await client.POST("/api/v1/affiliates", { body: { name: "Ada", email: "ada@example.com" } });
  assert(affiliate.data, JSON.stringify(affiliate.error));
  const offer = await client.POST("/api/v1/offers", {
    body: {
      name: "Pro",
      landing_url: "https://shop.example/?cid={click_id}",
      currency: "USD",
      payout: { fixed: "12.50" },
    },
  });
  assert(offer.data, JSON.stringify(offer.error));
  const link = await client.POST("/api/v1/links", {
    body: { affiliate_id: affiliate.data.id, offer_id: offer.data.id },
  });
  assert(link.data, JSON.stringify(link.error));
  const postback = await client.POST("/api/v1/postbacks", {
    body: {
      name: "My tracker",
      adapter: "macro-url",
      firing_status: "approved",
      config: {
        base_url: `${tracker}/postback`,
        parameters: [
          { name: "clickid", macro: "external_click_id" },
          { name: "payout", macro: "payout" },
        ],
      },
    },
  });
  assert(postback.data, JSON.stringify(postback.error));
  return link.data.url;
}

// Follows the link as a visitor; the id of the click is in the address of the landing page.
async function follow(url: string): Promise<string> {
  const redirect = await fetch(`${url}?click_id=w8f3k2`, { redirect: "manual" });
  const clickId = new URL(redirect.headers.get("location") ?? "").searchParams.get("cid");
  assert(clickId);
  return clickId;
}

async function reportTwice(clickId: string): Promise<void> {
  const body = { click_id: clickId, transaction_id: "T-1", status: "approved", amount: "49.00" } as const;
  const first = await client.POST("/api/v1/conversions", { body, params: { header: { "Idempotency-Key": "T-1" } } });
  assert.equal(first.response.status, 201);
  const again = await client.POST("/api/v1/conversions", { body });
  assert.equal(again.response.status, 200);
  assert(first.data && "id" in first.data && again.data && "id" in again.data, JSON.stringify(again));
  assert.equal(again.data.id, first.data.id);
}

async function waitForDelivery(): Promise<void> {
  const deadline = Date.now() + WAIT_MS_MAX;
  while (Date.now() < deadline) {
    const page = await client.GET("/api/v1/deliveries", { params: { query: { limit: 10 } } });
    assert(page.data, JSON.stringify(page.error));
    const statuses = page.data.items.map((delivery) => delivery.status);
    if (statuses.length === 1 && statuses[0] === "success") return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.fail("the delivery did not succeed");
}

async function anErrorIsAProblem(): Promise<void> {
  const answer = await client.POST("/api/v1/affiliates", { body: { name: "", email: "ada@example.com" } });
  assert.equal(answer.error?.code, "invalid_field");
  assert.deepEqual(answer.error.errors?.map((issue) => issue.path), ["/name"]);
}

const link = await createProgram();
await reportTwice(await follow(link));
await waitForDelivery();
await anErrorIsAProblem();
const received: unknown[] = await (await fetch(`${tracker}/received`)).json() as unknown[];
assert(received.some((query) => JSON.stringify(query) === JSON.stringify({ clickid: "w8f3k2", payout: "12.50" })));
console.log("the postback arrived with the TypeScript client");
