// The slow twin of rdp.ts: log E[(1 + u)^α], u = q (L − 1), L the likelihood ratio of N(1, σ²) to N(0, σ²), by the
// trapezoidal rule on a fine grid. Since E[u] = 0, the mean of (1 + u)^α − 1 − αu is summed, so that nothing cancels.

/** The integrand's factor (1 + u)^α − 1 − αu over e^{logScale}, for u = q (e^{logRatio} − 1). */
function excess(alpha: number, q: number, logRatio: number, logScale: number): number {
  const u = q * Math.expm1(logRatio);
  if (Math.abs(u) < 1e-2) {
    let term = (alpha * (alpha - 1) * u * u) / 2;
    let sum = term;
    for (let k = 3; k < 12; k++) sum += term *= ((alpha - k + 1) * u) / k;
    return sum * Math.exp(-logScale);
  }
  const logOnePlus = logRatio > 30 ? logRatio + Math.log(q) : Math.log1p(u);
  return Math.exp(alpha * logOnePlus - logScale) - (1 + alpha * u) * Math.exp(-logScale);
}

/** RDP at order α of one Poisson-sampled Gaussian step. Valid while e^{α²/2σ²} fits float64 after scaling. */
export function integratedRdp(q: number, sigma: number, alpha: number, pointsPerSigma = 40): number {
  const step = Math.min(sigma, sigma * sigma) / pointsPerSigma;
  const from = Math.floor((-12 * sigma) / step);
  const to = Math.ceil((alpha + 12 * sigma) / step);
  const logScale = Math.max(0, (alpha * alpha - alpha) / (2 * sigma * sigma) + alpha * Math.log(q));
  let sum = 0;
  for (let k = from; k <= to; k++) {
    const x = k * step;
    const logRatio = (2 * x - 1) / (2 * sigma * sigma);
    // The density goes into the scale, so that neither overflows.
    const logDensity = (-x * x) / (2 * sigma * sigma) - Math.log(sigma * Math.sqrt(2 * Math.PI));
    sum += excess(alpha, q, logRatio, logScale - logDensity);
  }
  const scaled = sum * step;
  const logA = logScale < 600 ? Math.log1p(scaled * Math.exp(logScale)) : logScale + Math.log(scaled);
  return logA / (alpha - 1);
}
