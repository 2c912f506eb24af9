// Goal, figure and baselines side by side; of several runs the median.
const kColumns = ['tidegate', 'direct', 'nginx', 'Portkey'];
const rows = [];
const notes = [];

/**
 * `goal`: {least} or {most} with a number, or null; values are numbers, undefined (not applicable) or a text. The same
 * row of another run joins the first one.
 */
export function row(part, what, unit, { goal = null, ...values }) {
  let found = rows.find((each) => each.part === part && each.what === what);
  if (!found) rows.push(found = { part, what, unit, goal, samples: Object.fromEntries(kColumns.map((name) => [name, []])) });
  for (const name of kColumns) if (values[name] !== undefined && values[name] !== null) found.samples[name].push(values[name]);
}

/** Of the numbers; without any, the last text. */
function median(samples) {
  const numbers = samples.filter((each) => typeof each === 'number').sort((a, b) => a - b);
  if (numbers.length === 0) return samples.at(-1);
  const middle = numbers.length / 2;
  return numbers.length % 2 === 1 ? numbers[Math.floor(middle)] : (numbers[middle - 1] + numbers[middle]) / 2;
}

const medians = ({ samples, ...rest }) => ({ ...rest, ...Object.fromEntries(kColumns.map((name) => [name, median(samples[name])])) });

export const note = (text) => { if (!notes.includes(text)) notes.push(text); };
export const results = () => ({ rows, notes });

function shown(value) {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  if (!Number.isFinite(value)) return 'none';
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

function goalText(goal) {
  if (!goal) return '';
  return goal.least !== undefined ? `>= ${shown(goal.least)}` : `<= ${shown(goal.most)}`;
}

function verdict({ goal, tidegate }) {
  if (!goal || typeof tidegate !== 'number' || !Number.isFinite(tidegate)) return '';
  const met = goal.least !== undefined ? tidegate >= goal.least : tidegate <= goal.most;
  return met ? 'met' : 'MISSED';
}

export function print() {
  const header = ['part', 'figure', 'unit', 'goal', 'tidegate', '', 'direct', 'nginx', 'Portkey'];
  const lines = rows.map(medians).map((each) => [each.part, each.what, each.unit, goalText(each.goal), shown(each.tidegate), verdict(each),
    shown(each.direct), shown(each.nginx), shown(each.Portkey)]);
  const widths = header.map((title, i) => Math.max(title.length, ...lines.map((line) => line[i].length)));
  const show = (line) => line.map((cell, i) => (i < 3 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ').trimEnd();
  console.log(show(header));
  console.log(widths.map((width) => '-'.repeat(width)).join('  '));
  for (const line of lines) console.log(show(line));
  for (const text of notes) console.log(`* ${text}`);
}
