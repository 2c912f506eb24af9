// table.mjs FOLDER: what compare.mjs said of each model, as a Markdown table. Exit 1 if a comparison left nothing to show.
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

const [folder] = process.argv.slice(2);
let isWhole = true;
const rows = [];
for (const file of readdirSync(folder).filter((name) => name.endsWith('.json')).sort()) {
  const name = path.basename(file, '.json');
  let result;
  try {
    result = JSON.parse(readFileSync(path.join(folder, file), 'utf8'));
  } catch {
    isWhole = false;
    rows.push([name, 'did not run', '', '', '', '', '', '']);
    continue;
  }
  rows.push([
    name, result.architecture, result.peer, `${result.prompts_equal} of ${result.prompts}`,
    `${result.tokens_equal_before_a_difference} of ${result.tokens_compared}`, result.near_ties, result.other_differences,
    result.encoded_alike === undefined ? '-' : `${result.encoded_alike} of ${result.prompts}`,
  ]);
}
const print = (cells) => console.log(`| ${cells.join(' | ')} |`);
console.log();
print(['model', 'architecture', 'peer', 'prompts equal', 'tokens equal before a difference', 'near ties', 'other differences', 'encoded alike']);
print(Array(8).fill('---'));
rows.forEach(print);
process.exit(isWhole && rows.length > 0 ? 0 : 1);
