/* The real json-server, of generation 0.17 or 1, with the data of a file in memory: what it would lose between its own file
 * and itself is not what is compared.
 *
 *     node json_server.mjs 0.17|1 db.json        says "ready on http://127.0.0.1:PORT" */
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const [generation, file] = process.argv.slice(2);
const data = JSON.parse(readFileSync(file, "utf8"));
const require = createRequire(import.meta.url);

async function handler() {
  if (generation === "0.17") {
    const jsonServer = require("json-server-0");
    const app = jsonServer.create();
    app.use(jsonServer.defaults({ logger: false }), jsonServer.router(data));
    return app;
  }
  const home = new URL("node_modules/json-server-1/", import.meta.url);
  const inside = createRequire(new URL("package.json", home));
  const [{ createApp }, { NormalizedAdapter }, { Low, Memory }] = await Promise.all([
    import(new URL("lib/app.js", home)),
    import(new URL("lib/adapters/normalized-adapter.js", home)),
    import(inside.resolve("lowdb")),
  ]);
  const memory = new Memory();
  memory.write(data);
  const db = new Low(new NormalizedAdapter(memory), {});
  await db.read();
  const app = createApp(db);
  return (request, response) => app.handler(request, response);
}

const listening = createServer(await handler());
listening.listen(0, "127.0.0.1", () => console.log(`ready on http://127.0.0.1:${listening.address().port}`));
process.on("SIGTERM", () => process.exit(0));
