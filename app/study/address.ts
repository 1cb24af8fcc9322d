// The coordinator's address as the contract states it, read without a URL class (`app` has none): http or https, a host,
// an optional port and path; no user name, query or fragment. RFC 3986, section 3, narrowed.

export type CoordinatorAddress = {
  readonly secure: boolean;
  /** Lower case; IPv6 without its brackets. */
  readonly host: string;
  readonly port: number;
  /** Nothing beyond this machine can see the traffic. */
  readonly loopback: boolean;
};

const form =
  /^(https?):\/\/(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?))(?::([1-9][0-9]{0,4}))?((?:\/[A-Za-z0-9._~-]+)*\/?)$/i;

/** null where the text is no such address. */
export function parseAddress(address: string): CoordinatorAddress | null {
  const match = form.exec(address);
  if (match === null) return null;
  const secure = match[1]!.toLowerCase() === 'https';
  const host = (match[2] ?? match[3]!).toLowerCase();
  const port = match[4] === undefined ? (secure ? 443 : 80) : Number(match[4]);
  if (port > 65_535) return null;
  const loopback = host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
  return { secure, host, port, loopback };
}
