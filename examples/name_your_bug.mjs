// Two losses in plain JavaScript against dimref's vectors: what is right says so, what is wrong names its own mistake.
//   dimref audit vectors -o DIR && node examples/name_your_bug.mjs DIR
import { readFileSync } from "node:fs";

const { suite, cases, mistakes } = JSON.parse(readFileSync(`${process.argv[2]}/bounds.json`, "utf8"));
const number = (x) => (typeof x === "string" ? Number(x.replace("inf", "Infinity")) : x);
const mean = (x) => x.reduce((a, b) => a + b, 0) / x.length;
const logSumExp = (x) => Math.max(...x) + Math.log(x.reduce((a, b) => a + Math.exp(b - Math.max(...x)), 0));
const softplus = (t) => Math.max(t, 0) + Math.log1p(Math.exp(-Math.abs(t)));

const mine = {
  "bounds.jsd": ({ joint, product }) => Math.log(4) - mean(joint.map((t) => softplus(-t))) - mean(product.map(softplus)),
  "bounds.infonce": ({ scores }) => {
    const n = Math.sqrt(scores.length), column = (j) => scores.filter((_, at) => at % n === j);
    return mean([...Array(n).keys()].map((j) => column(j)[j] - logSumExp(column(j)))); // log K is not there
  },
};

const near = (a, b) => Object.is(a, b) || a === b || Math.abs(a - b) <= 1e-9 * (1 + Math.abs(b));
for (const [name, f] of Object.entries(mine)) {
  let possible = new Set(Object.keys(mistakes[name])), wrong = 0, tried = 0;
  for (const c of cases) {
    const shapes = Object.values(c.inputs).map((a) => a.shape.length); // a matrix, or two vectors: no axis of locations
    if (c.function !== name || Math.max(...shapes) > (c.inputs.scores ? 2 : 1) || c.options.candidates === "all-locations") continue;
    const found = f(Object.fromEntries(Object.entries(c.inputs).map(([k, a]) => [k, a.data.map(number)])));
    const gives = (m) => near(found, number(m.outputs.value.data[0])), right = gives(c);
    const keys = c.mistakes.filter((m) => right || gives(m)).flatMap((m) => m.keys);
    possible = new Set([...possible].filter((key) => keys.includes(key) !== right)); // what shows where nothing is wrong is not it
    tried += 1;
    wrong += !right;
  }
  const named = wrong ? [...possible].map((key) => `${key}: ${mistakes[name][key].title}`).join("\n    ") : "as in the reference";
  console.log(`suite ${suite}  ${name}  ${wrong} of ${tried} cases wrong\n    ${named}`);
}
