// npm's `oidc-provider` in memory, as tests/src/oidc.rs starts it: `node server.mjs <access token lifetime in seconds>`.
//
// It prints its URL as one line of JSON, and ends when its stdin does: no test that is killed leaves it behind. Every
// refresh rotates. A **reuse detection** of this provider is: a refresh token that was `consumed` is presented again; the
// answer is `invalid_grant` with the detail "refresh token already used", and all tokens of the grant are revoked.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

// What the provider says at its start is that memory is not for production.
console.warn = console.info = () => {};
const { Provider } = await import('oidc-provider');

// Two token requests that come together are then seen together.
const TOKEN_ENDPOINT_MS = 10;

const stats = {
  token_requests: 0, token_requests_in_flight: 0, token_requests_in_flight_max: 0, abandoned: 0, token_errors: 0,
  rotations: 0, reuse_detected: 0, grants_revoked: 0, server_errors: 0, api_accepted: 0, api_refused: 0,
};
let hold;
let newest;

process.stdin.on('close', () => process.exit()).resume();
// Node closes idle connections after five seconds, also under a request that was just written to one.
const server = createServer({ keepAliveTimeout: 0 }).listen(0, '127.0.0.1');
await once(server, 'listening');
const url = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(url, {
  clients: [{
    client_id: 'billing',
    client_secret: 'billing-secret',
    redirect_uris: ['http://127.0.0.1/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  }],
  cookies: { keys: [randomBytes(32).toString('hex')] },
  features: {
    devInteractions: { enabled: false },
    revocation: { enabled: true, allowedPolicy: (_, client, token) => token.clientId === client.clientId },
  },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  jwks: { keys: [generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  scopes: ['openid', 'offline_access'],
  ttl: {
    AccessToken: Number(process.argv[2]), AuthorizationCode: 600, Grant: 86400, IdToken: 600, Interaction: 600,
    RefreshToken: 86400, Session: 86400,
  },
});

provider.on('access_token.saved', (token) => { newest = token; });
provider.on('refresh_token.consumed', () => { stats.rotations += 1; });
provider.on('grant.revoked', () => { stats.grants_revoked += 1; });
provider.on('grant.error', (_, error) => {
  stats.token_errors += 1;
  if (error.error_detail === 'refresh token already used') stats.reuse_detected += 1;
});
provider.on('server_error', (_, error) => {
  stats.server_errors += 1;
  console.error(error);
});

const routes = {
  'GET /stats': (ctx) => { ctx.body = stats; },

  // Holds token requests, or their answers, until the release: `?at=request`, `?at=answer`.
  'POST /hold': (ctx) => {
    let resolve;
    const promise = new Promise((released) => { resolve = released; });
    hold = { at: ctx.query.at, promise, resolve };
    ctx.status = 204;
  },
  'POST /release': (ctx) => {
    hold?.resolve();
    hold = undefined;
    ctx.status = 204;
  },

  // What an operator does who removes one access token, and nothing else, from the server's database.
  'POST /end-access-token': async (ctx) => {
    await newest.destroy();
    ctx.status = 204;
  },

  // The protected resource, RFC 6750 §3.
  'GET /api': async (ctx) => {
    const [scheme, value] = ctx.get('authorization').split(' ');
    const token = scheme === 'Bearer' && await provider.AccessToken.find(value);
    if (token) {
      stats.api_accepted += 1;
      ctx.body = { sub: token.accountId };
    } else {
      stats.api_refused += 1;
      ctx.status = 401;
      ctx.set('www-authenticate', value ? 'Bearer realm="api", error="invalid_token"' : 'Bearer realm="api"');
    }
  },
};

provider.use((ctx, next) => (routes[`${ctx.method} ${ctx.path}`] ?? next)(ctx));

// The person at the browser: the POST of a page is the click on its button.
provider.use(async (ctx, next) => {
  if (ctx.method !== 'POST' || !ctx.path.startsWith('/interaction/')) return next();
  const { prompt, params, session } = await provider.interactionDetails(ctx.req, ctx.res);
  const result = {};
  if (prompt.name === 'login') {
    result.login = { accountId: 'alice' };
  } else {
    const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope('openid offline_access');
    result.consent = { grantId: await grant.save() };
  }
  return provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
});

provider.use(async (ctx, next) => {
  if (ctx.path !== '/token') return next();
  stats.token_requests += 1;
  stats.token_requests_in_flight += 1;
  stats.token_requests_in_flight_max = Math.max(stats.token_requests_in_flight_max, stats.token_requests_in_flight);
  try {
    await sleep(TOKEN_ENDPOINT_MS);
    if (hold?.at === 'request') {
      const { socket } = ctx.req;
      if (!socket.destroyed) await Promise.race([hold.promise, once(socket, 'close')]);
      if (socket.destroyed) {
        // As a proxy does whose client is gone: the provider never sees the request.
        stats.abandoned += 1;
        return;
      }
    }
    await next();
    if (hold?.at === 'answer') await hold.promise;
  } finally {
    stats.token_requests_in_flight -= 1;
  }
});

server.on('request', provider.callback());
console.log(JSON.stringify({ url }));
