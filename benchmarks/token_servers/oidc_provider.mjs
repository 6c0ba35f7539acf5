// npm `oidc-provider` with its in-memory adapter, as its documentation has it for client credentials,
// resource indicators with JWT access tokens, and introspection. It has no token exchange: a grant type is
// registered the way its documentation tells, and does the least that RFC 8693 asks for: verify the subject
// token's signature, issuer, audience and times, and name the actor.
import * as jose from 'jose';
import { Provider, errors } from 'oidc-provider';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const asked = JSON.parse(process.env.BENCH_SERVER);
const { publicKey, privateKey } = await jose.generateKeyPair(asked.alg, { extractable: true });
const kid = await jose.calculateJwkThumbprint(await jose.exportJWK(publicKey));
const issuer = `http://127.0.0.1:${asked.port}`;

const servers = Object.fromEntries(
  ['posts', 'users'].flatMap((name) => [
    // one name for each form: what its introspection answers about are opaque tokens only
    [`http://${name}.example`, { audience: name, accessTokenFormat: 'jwt', jwt: { sign: { alg: asked.alg } } }],
    [`http://${name}.example/opaque`, { audience: name, accessTokenFormat: 'opaque' }],
  ]),
);

const provider = new Provider(issuer, {
  clients: asked.clients.map((client) => ({
    ...client,
    grant_types: ['client_credentials', EXCHANGE],
    redirect_uris: [],
    response_types: [],
  })),
  jwks: { keys: [{ ...(await jose.exportJWK(privateKey)), alg: asked.alg, use: 'sig', kid }] },
  enabledJWA: { clientAuthSigningAlgValues: ['ES256'] },
  clientDefaults: { id_token_signed_response_alg: asked.alg },
  scopes: ['posts:read', 'users:read'],
  extraTokenClaims: (ctx, token) => (token.gty === EXCHANGE ? { act: { sub: token.clientId } } : undefined),
  ttl: { ClientCredentials: asked.lifetime, AccessToken: asked.lifetime },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true, allowedPolicy: (ctx, client, token) => token.aud === client.clientId },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(ctx, resource) {
        if (!Object.hasOwn(servers, resource)) throw new errors.InvalidTarget();
        return { scope: `${servers[resource].audience}:read`, accessTokenTTL: asked.lifetime, ...servers[resource] };
      },
    },
  },
});

provider.registerGrantType(
  EXCHANGE,
  async (ctx) => {
    const { params, client, provider: { AccessToken } } = ctx.oidc;
    let subject;
    try {
      ({ payload: subject } = await jose.jwtVerify(params.subject_token, publicKey, {
        algorithms: [asked.alg],
        audience: client.clientId,
        issuer,
        requiredClaims: ['exp', 'sub'],
        typ: 'at+jwt',
      }));
    } catch {
      throw new errors.InvalidRequest('subject_token');
    }
    const server = servers[params.resource];
    if (server === undefined) throw new errors.InvalidTarget();
    const token = new AccessToken({
      accountId: subject.sub,
      client,
      gty: EXCHANGE,
      scope: 'users:read',
    });
    token.resourceServer = new provider.ResourceServer(params.resource, {
      scope: 'users:read',
      accessTokenTTL: asked.lifetime,
      ...server,
    });
    ctx.oidc.entity('AccessToken', token);
    const value = await token.save();
    ctx.body = {
      access_token: value,
      expires_in: token.expiration,
      token_type: token.tokenType,
      scope: token.scope,
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    };
  },
  ['subject_token', 'subject_token_type', 'resource', 'scope'],
);

provider.listen(asked.port, '127.0.0.1');
