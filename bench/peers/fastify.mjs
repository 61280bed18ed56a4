// The collections of a db.json by fastify, as one would write it: objects in, objects out, an index for the filter.
// node fastify.mjs PORT db.json
import { readFileSync } from 'node:fs'
import fastify from 'fastify'

const [port, path] = process.argv.slice(2)
const collections = new Map()

class Collection {
  constructor(items) {
    this.items = []
    this.byId = new Map()
    this.byUser = new Map()
    items.forEach((item) => this.add(item))
  }

  add(item) {
    const user = String(item.userId)
    this.items.push(item)
    this.byId.set(String(item.id), item)
    if (!this.byUser.has(user)) this.byUser.set(user, [])
    this.byUser.get(user).push(item)
  }
}

for (const [name, items] of Object.entries(JSON.parse(readFileSync(path, 'utf8')))) collections.set(name, new Collection(items))

const server = fastify({ keepAliveTimeout: 600_000 })

server.get('/:collection', (request, reply) => {
  const found = collections.get(request.params.collection)
  if (!found) return reply.code(404).send({})
  const user = request.query.userId
  return user === undefined ? found.items : (found.byUser.get(user) ?? [])
})

server.get('/:collection/:id', (request, reply) => {
  const item = collections.get(request.params.collection)?.byId.get(request.params.id)
  return item ?? reply.code(404).send({})
})

server.post('/:collection', (request, reply) => {
  const found = collections.get(request.params.collection)
  if (!found) return reply.code(404).send({})
  const item = { ...request.body, id: String(found.items.length + 1) }
  found.add(item)
  return reply.code(201).send(item)
})

await server.listen({ host: '127.0.0.1', port: Number(port) })
