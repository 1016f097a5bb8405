// The certified OpenID provider "oidc-provider" on a free loopback port, for the tests.
// Enforces PKCE, rotates refresh tokens, revokes a login whose old refresh token comes back.
// Prints one line of JSON with its issuer, then serves until it is ended.
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'public-client',
        application_type: 'native',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
        response_types: ['code'],
        redirect_uris: ['http://127.0.0.1/callback'],
      },
      {
        client_id: 'secret-client',
        client_secret: 'a-secret-of-the-tests',
        application_type: 'native',
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        redirect_uris: ['http://127.0.0.1/callback'],
      },
    ],
    features: {
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: true },
      devInteractions: { enabled: true },
    },
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: async (ctx, client, code) => client.grantTypeAllowed('refresh_token'),
    ttl: {
      AccessToken: Number(process.env.ACCESS_TOKEN_SECONDS || 3600),
      RefreshToken: 86400,
      AuthorizationCode: 60,
      DeviceCode: 600,
      Interaction: 600,
      Session: 600,
      Grant: 86400,
    },
    cookies: { keys: ['only-for-tests'] },
  });
  server.on('request', provider.callback());
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});
