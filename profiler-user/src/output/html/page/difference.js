// Two recordings in one page: what was before, what is after, and whether chance explains the difference. The test is that of
// `pyebpf diff`. Pure but for the texts at its end.

const SIGNIFICANT = 0.01, MOST_TERMS = 1 << 15;

class Difference {
  // `raw`: the names of both, the first thread of the second, and whether shares are compared or numbers as they are.
  constructor(recording) {
    this.recording = recording;
    this.shown = 1;
    Object.assign(this, recording.difference);
  }

  // Splits what was selected by recording. `samples` are the same counts as numbers of samples.
  split(values, samples) {
    const { thread } = this.recording.counts;
    const part = (of, side) => of.map((value, at) => (thread[at] >= this.second === (side === 1) ? value : 0));
    this.values = [part(values, 0), part(values, 1)];
    this.totals = this.values.map(sum);
    const numbers = [sum(part(samples, 0)), sum(part(samples, 1))];
    // Samples in a unit of the value: 1 where samples are what is shown.
    this.density = numbers.map((number, side) => (this.totals[side] > 0 ? number / this.totals[side] : 0));
    this.numbers = numbers;
  }

  // How likely so different numbers are by chance; not corrected.
  chance(before, after) {
    if (this.numbers[0] === 0 || this.numbers[1] === 0) return 1;
    const [a, b] = [before * this.density[0], after * this.density[1]].map(Math.round);
    if (this.scaled) return chanceOfShares(a, this.numbers[0], b, this.numbers[1]);
    return chanceOfAmounts(a, b, this.density[1] / (this.density[0] + this.density[1]));
  }

  percent(value, side) {
    const total = this.totals[this.scaled ? side : 0];
    return total > 0 ? (100 * value) / total : 0;
  }

  change(before, after) {
    return this.percent(after, 1) - this.percent(before, 0);
  }

  // Says what changed of one thing among so many.
  text(before, after, among) {
    const points = this.change(before, after);
    const mark = this.chance(before, after) * among < SIGNIFICANT ? "more than chance explains" : "chance explains it";
    return `${this.percent(before, 0).toFixed(1)} % before, ${this.percent(after, 1).toFixed(1)} % after: ${signed(points)} (${mark})`;
  }

  // By node of the tree that is shown: what it is in the other recording.
  setTrees(tree, other) {
    this.tree = tree;
    const places = new Map();
    const place = (parent, key) => parent * 2 ** 32 + key + 2 ** 31;
    for (let node = 1; node < other.size; node++) places.set(place(other.parent[node], other.key[node]), node);
    const twin = new Int32Array(tree.size);
    this.beside = new Float64Array(tree.size);
    this.beside[0] = other.total[0];
    for (const row of tree.rows) {
      for (const node of row) {
        if (node === 0) continue;
        const above = twin[tree.parent[node]];
        twin[node] = above < 0 ? -1 : (places.get(place(above, tree.key[node])) ?? -1);
        this.beside[node] = twin[node] < 0 ? 0 : other.total[twin[node]];
      }
    }
    this.colours = [];
    this.most = 1;
    for (let node = 1; node < tree.size; node++) this.most = Math.max(this.most, Math.abs(this.change(...this.pair(node))));
  }

  pair(node) {
    const here = this.tree.total[node], there = this.beside[node];
    return this.shown === 1 ? [there, here] : [here, there];
  }

  colour(node) {
    return (this.colours[node] ??= this.colourOf(...this.pair(node)));
  }

  colourOf(before, after) {
    const points = this.change(before, after);
    if (points === 0 || this.chance(before, after) * this.tree.size >= SIGNIFICANT) return "#e8e8e8";
    const rest = Math.round(215 - 105 * Math.min(1, Math.abs(points) / this.most));
    return points > 0 ? `rgb(255 ${rest} ${rest})` : `rgb(${rest} ${rest} 255)`;
  }
}

const signed = (points) => `${points > 0 ? "+" : points < 0 ? "−" : ""}${Math.abs(points).toFixed(1)}`;

// Fisher's exact test; the smaller tail counts twice.
function chanceOfShares(a, allA, b, allB) {
  const hits = a + b, all = allA + allB, misses = all - hits;
  if (hits === 0 || hits >= all || allA === 0 || allB === 0) return 1;
  const log = lnChoose(hits, b) + lnChoose(misses, allB - b) - lnChoose(all, allB);
  return twoSided(b, (hits * allB) / all, Math.exp(log), (k) => ((hits - k) * (allB - k)) / ((k + 1) * (misses - allB + k + 1)));
}

// Two Poisson counts: `share` of both is due to the second if they are equal.
function chanceOfAmounts(a, b, share) {
  const all = a + b;
  if (all === 0 || !(share > 0 && share < 1)) return 1;
  const log = lnChoose(all, b) + b * Math.log(share) + a * Math.log1p(-share);
  return twoSided(b, all * share, Math.exp(log), (k) => (((all - k) / (k + 1)) * share) / (1 - share));
}

function twoSided(seen, mean, first, up) {
  return Math.min(1, 2 * (seen >= mean ? tail(seen, first, 1, up) : tail(seen, first, -1, (k) => 1 / up(k - 1))));
}

// From what was seen outwards; what is left after many terms is bounded from above.
function tail(k, first, step, ratio) {
  let total = 0, term = first;
  for (let at = 0; at < MOST_TERMS; at++, k += step) {
    total += term;
    const next = ratio(k);
    if (!(next > 0)) return total;
    term *= next;
    if (next < 1 && term / (1 - next) < total * 1e-17) return total;
  }
  const next = ratio(k);
  return next < 1 ? total + term / (1 - next) : 1;
}

const lnChoose = (n, k) => lnFactorial(n) - lnFactorial(k) - lnFactorial(n - k);

// Stirling's series, where it is exact.
function lnFactorial(n) {
  if (n < 16) {
    let product = 1;
    for (let factor = 2; factor <= n; factor++) product *= factor;
    return Math.log(product);
  }
  const square = 1 / (n * n);
  return (n + 0.5) * Math.log(n) - n + 0.5 * Math.log(2 * Math.PI) + (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680))) / n;
}
