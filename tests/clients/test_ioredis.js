// ioredis finds what it expects, also with its ready check (INFO) and automatic pipelining.
const assert = require("assert");
const { test, before, after } = require("node:test");
const Redis = require("ioredis");
const { startCache } = require("./nuthatch");

let cache, client;

before(async () => {
  cache = await startCache();
  client = new Redis(cache.port, "127.0.0.1", { enableAutoPipelining: true, connectionName: "tests" });
});

after(async () => {
  await client.quit();
  await cache.stop();
});

test("it becomes ready, and knows its name", async () => {
  assert.strictEqual(await client.ping(), "PONG");
  assert.strictEqual(await client.client("GETNAME"), "tests");
});

test("values, options and expiry", async () => {
  assert.strictEqual(await client.set("k", "v", "EX", 100, "NX"), "OK");
  assert.strictEqual(await client.set("k", "w", "NX"), null);
  assert.strictEqual(await client.get("k"), "v");
  assert.ok((await client.ttl("k")) > 0);
  assert.deepStrictEqual(await client.mget("k", "none"), ["v", null]);
  assert.strictEqual(await client.del("k", "none"), 1);
});

test("a thousand commands pipelined by themselves", async () => {
  const sums = await Promise.all(Array.from({ length: 1000 }, () => client.incr("n")));
  assert.deepStrictEqual(sums, Array.from({ length: 1000 }, (_, i) => i + 1));
});

test("a subscriber gets what is published, and is one again once its connection broke", async () => {
  const subscriber = new Redis(cache.port, "127.0.0.1");
  const messages = [];
  subscriber.on("message", (channel, text) => messages.push([channel, text]));
  subscriber.on("pmessage", (pattern, channel, text) => messages.push([pattern, channel, text]));
  assert.strictEqual(await subscriber.subscribe("news", "sport"), 2);
  assert.strictEqual(await subscriber.psubscribe("n*"), 3);
  assert.strictEqual(await client.publish("news", "1"), 2);
  assert.strictEqual(await client.publish("sport", "2"), 1);
  assert.deepStrictEqual(await subscriber.ping(), ["pong", ""]); // the answer of a subscriber
  assert.deepStrictEqual(messages, [["news", "1"], ["n*", "news", "1"], ["sport", "2"]]);
  const back = new Promise((resolve) => subscriber.once("ready", resolve));
  subscriber.disconnect(true);
  await back;
  while ((await client.publish("news", "4")) !== 2) await new Promise((resolve) => setTimeout(resolve, 20));
  await subscriber.ping();
  assert.deepStrictEqual(messages.slice(-2), [["news", "4"], ["n*", "news", "4"]]);
  assert.strictEqual(await subscriber.unsubscribe("news", "sport"), 1);
  assert.strictEqual(await subscriber.punsubscribe("n*"), 0);
  assert.strictEqual(await subscriber.get("none"), null);
  subscriber.disconnect();
});

test("binary values", async () => {
  const value = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  await client.set("binary", value);
  assert.deepStrictEqual(await client.getBuffer("binary"), value);
});

test("a transaction, and one that a watched key spoils", async () => {
  const alone = client.duplicate();
  assert.deepStrictEqual(await client.multi().set("m", 1).incr("m").get("m").exec(), [[null, "OK"], [null, 2], [null, "2"]]);
  await alone.watch("m");
  await client.incr("m");
  assert.strictEqual(await alone.multi().incr("m").exec(), null);
  await alone.quit();
});

test("a scan finds every key once it is at its end", async () => {
  await client.mset(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`scan:${i}`, i])));
  const found = new Set();
  for await (const keys of client.scanStream({ match: "scan:*", count: 50 })) keys.forEach((key) => found.add(key));
  assert.strictEqual(found.size, 500);
});

test("an error keeps the connection", async () => {
  await assert.rejects(client.call("NOSUCH"), /unknown command/);
  assert.strictEqual(await client.ping(), "PONG");
});
