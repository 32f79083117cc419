// Bundles main.js and ssr-session.css, and writes the licences of all npm packages in the bundle.
// Run by hatch_build.py: node build.mjs OUTPUT_FOLDER INPUTS_DIGEST
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { minify } from "terser";

const NOTICES = "THIRD_PARTY_NOTICES.txt";
const [outputFolder, inputsDigest] = process.argv.slice(2);

/** Return the folders (node_modules/NAME) of the packages whose files are in the bundle. */
function bundledPackageFolders(metafile) {
  const folders = Object.keys(metafile.inputs).map(
    (file) => file.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0],
  );
  return [...new Set(folders.filter(Boolean))].sort();
}

function describePackage(folder) {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const legalText = readdirSync(folder)
    .filter((file) => /^(licen[cs]e|notice|copying)/i.test(file))
    .sort()
    .map((file) => readFileSync(join(folder, file), "utf8").replaceAll("\r\n", "\n").trim())
    .join("\n\n");
  return { name, version, license, legalText };
}

/** A package without a licence file takes the text of a bundled package with the same licence. */
function legalSection(bundled, packages) {
  const title = `${bundled.name} ${bundled.version} (${bundled.license})`;
  const heading = `${title}\n${"=".repeat(title.length)}`;
  if (bundled.legalText) return `${heading}\n\n${bundled.legalText}`;
  const neighbour = packages.find((other) => other.legalText && other.license === bundled.license);
  if (!neighbour) throw new Error(`${title} has no licence text: it cannot be bundled`);
  return (
    `${heading}\n\nPublished without a licence file; its package.json names ${bundled.license}.\n` +
    `The text of that licence is printed in this file under ${neighbour.name}.`
  );
}

function thirdPartyNotices(packages) {
  const introduction =
    "ssr-session.js contains code of the npm packages below, minified and otherwise unchanged;\n" +
    "two files of supertokens-website, for axios, are left out.\n" +
    "flask-ssr-session's own code is licensed under Apache-2.0.";
  const sections = packages.map((bundled) => legalSection(bundled, packages));
  return `${[introduction, ...sections].join("\n\n\n")}\n`;
}

const licences = `Apache-2.0; packages: ${NOTICES}`;
const banner = `/*! flask-ssr-session, ${licences}; inputs: ${inputsDigest} */`;
// The SDK adds its interceptors for axios only where XMLHttpRequest has none, and it always gives
// XMLHttpRequest its own. They are a tenth of the SDK and never run.
const withoutAxios = {
  name: "without-axios",
  setup({ onLoad }) {
    onLoad({ filter: /supertokens-website.lib.build.axios(Error)?\.js$/ }, () => ({ contents: "" }));
  },
};
mkdirSync(outputFolder, { recursive: true });
const { metafile, outputFiles } = await build({
  entryPoints: ["main.js"],
  write: false,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2017",
  charset: "ascii",
  // esbuild keeps no plain comments, and the packages have only those: NOTICES has their licences.
  legalComments: "none",
  metafile: true,
  plugins: [withoutAxios],
  logLevel: "warning",
});
// Terser removes another 6 % of what esbuild leaves.
const { code } = await minify(outputFiles[0].text, {
  ecma: 2017,
  compress: { ecma: 2017, passes: 3 },
  // hatch_build.py reads the digest in the first line to check whether the outputs are up to date.
  format: { ascii_only: true, preamble: banner },
});
writeFileSync(join(outputFolder, "ssr-session.js"), code);
await build({
  entryPoints: ["ssr-session.css"],
  outfile: join(outputFolder, "ssr-session.css"),
  minify: true,
  charset: "ascii",
  logLevel: "warning",
});
const packages = bundledPackageFolders(metafile).map(describePackage);
writeFileSync(join(outputFolder, NOTICES), thirdPartyNotices(packages));
