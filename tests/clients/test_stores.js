// What people put a cache server to: sessions, a cache in front of slow work, a rate limit, with the libraries they use.
const assert = require("assert");
const { test, before, after } = require("node:test");
const { promisify } = require("util");
const { createClient } = require("redis");
const IoRedis = require("ioredis");
const { RedisStore } = require("connect-redis");
const { Keyv } = require("keyv");
const { default: KeyvRedis } = require("@keyv/redis");
const { createCache } = require("cache-manager");
const memcachedStore = require("cache-manager-memcached-store");
const MemcachePlus = require("memcache-plus");
const rateLimiter = require("redis-rate-limiter");
const { startCache, until } = require("./nuthatch");

let cache, url;

before(async () => {
  cache = await startCache();
  url = `redis://127.0.0.1:${cache.port}`;
});

after(() => cache.stop());

test("connect-redis keeps sessions", async () => {
  const client = createClient({ url });
  await client.connect();
  const store = new RedisStore({ client, prefix: "session:", ttl: 100 });
  const [set, get, touch, destroy, length, all, clear] = ["set", "get", "touch", "destroy", "length", "all", "clear"].map((name) =>
    promisify(store[name]).bind(store),
  );
  await set("one", { user: "alice", cookie: {} });
  await set("two", { user: "bob", cookie: {} });
  assert.strictEqual((await get("one")).user, "alice");
  assert.strictEqual(await get("none"), undefined);
  await touch("one", { cookie: {} });
  assert.ok((await client.ttl("session:one")) > 90);
  assert.strictEqual(await length(), 2);
  assert.deepStrictEqual((await all()).map((session) => session.id).sort(), ["one", "two"]);
  await destroy("one");
  assert.strictEqual(await length(), 1);
  await clear();
  assert.strictEqual(await length(), 0);
  await client.quit();
});

test("keyv keeps values by namespace", async () => {
  const adapter = new KeyvRedis(url);
  const one = new Keyv({ store: adapter, namespace: "one" });
  await one.set("k", { deep: [1, 2] }, 50000);
  assert.deepStrictEqual(await one.get("k"), { deep: [1, 2] });
  assert.deepStrictEqual(await one.get(["k", "none"]), [{ deep: [1, 2] }, undefined]);
  assert.strictEqual(await one.has("k"), true);
  assert.strictEqual(await one.delete("k"), true);
  await one.set("brief", 1, 30);
  await until(async () => (await one.get("brief")) === undefined);
  await one.clear();
  await one.disconnect();
});

test("cache-manager wraps slow work", async () => {
  const keyv = new Keyv({ store: new KeyvRedis(url), namespace: "wrapped" });
  const manager = createCache({ stores: [keyv], ttl: 60000 });
  let worked = 0;
  const work = async () => ++worked;
  assert.strictEqual(await manager.wrap("answer", work), 1);
  assert.strictEqual(await manager.wrap("answer", work), 1);
  await manager.mset([
    { key: "a", value: 1 },
    { key: "b", value: 2 },
  ]);
  assert.deepStrictEqual(await manager.mget(["a", "b"]), [1, 2]);
  await manager.del("answer");
  assert.strictEqual(await manager.wrap("answer", work), 2);
  await keyv.disconnect();
});

test("cache-manager's memcached store does, too", async () => {
  const store = memcachedStore.create({ driver: MemcachePlus, options: { hosts: [`127.0.0.1:${cache.port}`] } });
  await store.set("page", { html: "<p>" }, { ttl: 60 });
  assert.deepStrictEqual(await store.get("page"), { html: "<p>" });
  await store.del("page");
  assert.ok((await store.get("page")) == null);
  await store.memcached.disconnect();
});

test("redis-rate-limiter counts in a transaction", async () => {
  const redis = new IoRedis(cache.port, "127.0.0.1");
  const limit = promisify(rateLimiter.create({ redis, key: (request) => request.user, limit: 5, window: 60 }));
  const rates = await Promise.all(Array.from({ length: 20 }, () => limit({ user: "alice" })));
  assert.deepStrictEqual(rates.map((rate) => rate.current).sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i + 1));
  assert.strictEqual(rates.filter((rate) => rate.over).length, 15);
  assert.strictEqual((await limit({ user: "bob" })).current, 1);
  assert.ok((await redis.ttl("ratelimit:alice")) > 50);
  await redis.quit();
});
