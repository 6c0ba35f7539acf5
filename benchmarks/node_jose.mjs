// Verifies with npm `jose`: one JSON question per line in, one JSON answer per line out.
import { createInterface } from 'node:readline'
import { createLocalJWKSet, jwtVerify } from 'jose'

const runners = new Map()

async function answer(question) {
  if (question.name) {
    const keys = createLocalJWKSet(question.jwks)
    const options = {
      algorithms: [question.alg],
      issuer: question.issuer,
      audience: question.audience,
      typ: 'at+jwt',
      requiredClaims: ['sub', 'exp', 'iat', 'jti', 'client_id'],
    }
    const verify = () => jwtVerify(question.token, keys, options)
    await verify()
    runners.set(question.name, verify)
    return { ready: question.name }
  }
  const verify = runners.get(question.run)
  const before = process.cpuUsage()
  for (let i = 0; i < question.times; i++) await verify()
  const { user, system } = process.cpuUsage(before) // all threads: a signature is checked in a pool
  return { seconds: (user + system) / 1e6 }
}

for await (const line of createInterface({ input: process.stdin })) {
  let reply
  try {
    reply = await answer(JSON.parse(line))
  } catch (error) {
    reply = { error: String(error) }
  }
  process.stdout.write(JSON.stringify(reply) + '\n')
}
