// Which HTTP CONNECT proxy lies between this machine and an address: IT's policy says, else the environment
// (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, as other programs read them). TLS goes end to end inside the tunnel; the
// proxy sees the coordinator's name and nothing else. Design 6, "API".

import { InputError } from '../../../app/errors.ts';
import type { Policy } from '../../../app/study/policy.ts';

export type Environment = { readonly [name: string]: string | undefined };

/**
 * @returns the proxy's URL, with name and password where they are given; null where there is none for this address.
 * @throws InputError `proxy-malformed`.
 */
export function proxyFor(address: URL, policy: Pick<Policy, 'proxy'> | null, environment: Environment): URL | null {
  const host = address.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (host === 'localhost' || host === '::1' || host.startsWith('127.')) return null;
  if (policy?.proxy !== undefined)
    return policy.proxy.except.some((pattern) => matches(pattern, host))
      ? null
      : proxyUrl(policy.proxy.address, 'policy');
  const said = (name: string): string | undefined => environment[name.toLowerCase()] ?? environment[name];
  const except = (said('NO_PROXY') ?? '').split(/[\s,]+/).filter((word) => word !== '');
  if (except.some((pattern) => pattern === '*' || matches(pattern.toLowerCase(), host))) return null;
  const own = address.protocol === 'https:' ? said('HTTPS_PROXY') : said('HTTP_PROXY');
  const text = own ?? said('ALL_PROXY');
  return text === undefined || text === '' ? null : proxyUrl(text, 'environment');
}

/** "example.org" and ".example.org" cover the name and all below it, as most programs read NO_PROXY; "*.…" the same. */
function matches(pattern: string, host: string): boolean {
  const name = pattern.replace(/:\d+$/, '').replace(/^\*?\./, '');
  return host === name || host.endsWith(`.${name}`);
}

function proxyUrl(text: string, whose: 'policy' | 'environment'): URL {
  const written = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const url = URL.canParse(written) ? new URL(written) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '')
    // Never the text itself: it may hold a password.
    throw new InputError(
      'proxy-malformed',
      `The proxy that the ${whose} names is no http or https address. Write it as http://NAME:PASSWORD@HOST:PORT.`,
    );
  return url;
}
