// Lists the single changes that tools/mutate tries: an operator, a bound, a statement or a check left out, a condition
// that always or never holds, two arguments swapped, a number one off. Works on the compiler's syntax trees, so that
// nothing is changed inside comments or strings and what cannot compile is rarely proposed.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const solc = require("solc");

const BINARY = {
  "+": ["-"], "-": ["+"], "*": ["/"], "/": ["*"], "%": ["*"], "**": ["*"],
  "<<": [">>"], ">>": ["<<"], "&": ["|"], "|": ["&"], "^": ["&"],
  "&&": ["||"], "||": ["&&"], "==": ["!="], "!=": ["=="],
  "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"],
};
const ASSIGNMENT = { "+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=", "|=": "&=", "&=": "|=", "^=": "&=", ">>=": "<<=", "<<=": ">>=" };
const YUL = {
  add: "sub", sub: "add", mul: "add", div: "mul", sdiv: "mul", and: "or", or: "and", xor: "and",
  lt: "gt", gt: "lt", slt: "sgt", sgt: "slt", shl: "shr", shr: "shl", sar: "shl", iszero: "not",
};
// Types, declarations and imports: changing them changes no behaviour that a test could see, or does not compile.
const OPAQUE = new Set([
  "ImportDirective", "PragmaDirective", "UsingForDirective", "EventDefinition", "ErrorDefinition", "EnumDefinition",
  "StructDefinition", "InheritanceSpecifier", "ArrayTypeName", "ElementaryTypeName", "UserDefinedTypeName", "Mapping",
  "OverrideSpecifier", "StructuredDocumentation", "YulTypedName",
]);

/** Sources of the project below `root`, with everything they import, as the compiler's standard input wants them. */
function sourcesOf(root, files) {
  const sources = {}, waiting = [...files];
  while (waiting.length > 0) {
    const name = waiting.pop();
    if (sources[name]) continue;
    const file = name.startsWith("@") ? path.join(root, "node_modules", name) : path.join(root, name);
    const content = fs.readFileSync(file, "utf8");
    sources[name] = { content };
    waiting.push(...importsOf(name, content));
  }
  return sources;
}

/** The files that `content`, at `name`, imports. */
function importsOf(name, content) {
  const found = content.matchAll(/^import\b[^;]*?["']([^"']+)["'];/gm);
  return [...found].map((m) => (m[1].startsWith(".") ? path.posix.join(path.posix.dirname(name), m[1]) : m[1]));
}

/** All changes to `files` (paths relative to `root`): {file, line, kind, start, length, was, now}, bytes of UTF-8. */
function mutants(root, files) {
  const input = {
    language: "Solidity",
    sources: sourcesOf(root, files),
    settings: { evmVersion: "prague", outputSelection: { "*": { "": ["ast"] } } },
  };
  const output = JSON.parse(solc.compile(JSON.stringify(input)));
  const broken = (output.errors || []).find((e) => e.severity === "error");
  if (broken) throw new Error(broken.formattedMessage);
  return files.flatMap((file) => ofFile(file, Buffer.from(input.sources[file].content), output.sources[file].ast));
}

function ofFile(file, bytes, ast) {
  const out = [], seen = new Set();
  const at = (node) => node.src.split(":").map(Number);
  const text = (node) => bytes.subarray(at(node)[0], at(node)[0] + at(node)[1]).toString();
  const propose = (kind, start, length, now) => {
    const was = bytes.subarray(start, start + length).toString();
    const key = `${start}:${length}:${now}`;
    if (was === now || seen.has(key)) return;
    seen.add(key);
    const line = bytes.subarray(0, start).toString().split("\n").length;
    out.push({ file, line, kind, start, length, was, now });
  };
  const replace = (kind, node, now) => propose(kind, at(node)[0], at(node)[1], now);
  // The operator stands between its operands, perhaps behind a line break, and never beside a comment here.
  const operator = (kind, left, right, was, now) => {
    const start = at(left)[0] + at(left)[1];
    const found = bytes.subarray(start, at(right)[0]).toString("latin1").indexOf(was);
    if (found >= 0) propose(kind, start + found, was.length, now);
  };
  const type = (node) => (node && node.typeDescriptions && node.typeDescriptions.typeString) || "";

  const visit = (node, heads) => {
    if (node === null || typeof node !== "object") return;
    if (Array.isArray(node)) return node.forEach((n) => visit(n, heads));
    if (OPAQUE.has(node.nodeType)) return;
    rules[node.nodeType]?.(node, heads);
    for (const [name, child] of Object.entries(node)) {
      if (child === null || typeof child !== "object" || name === "typeDescriptions" || name === "typeName") continue;
      // A loop that does not go on is noticed by any test at all: not worth trying.
      visit(child, heads || name === "loopExpression" || name === "post");
    }
  };
  const rules = {
    BinaryOperation(n) {
      const kind = /[<>=]/.test(n.operator) && !/<<|>>/.test(n.operator) ? "bound" : "operator";
      for (const now of BINARY[n.operator] || []) operator(kind, n.leftExpression, n.rightExpression, n.operator, now);
    },
    Assignment(n, head) {
      const now = ASSIGNMENT[n.operator];
      if (now && !head) operator("operator", n.leftHandSide, n.rightHandSide, n.operator, now);
    },
    UnaryOperation(n, head) {
      if (n.operator === "!" || n.operator === "-" || n.operator === "~") replace("operator", n, text(n.subExpression));
      const now = { "++": "--", "--": "++" }[n.operator];
      if (now && !head) replace("operator", n, n.prefix ? now + text(n.subExpression) : text(n.subExpression) + now);
    },
    Literal(n) {
      if (n.kind === "bool") return replace("condition", n, n.value === "true" ? "false" : "true");
      if (n.kind !== "number" || /^0x.{40}$/.test(n.value)) return;
      replace("off by one", n, `(${text(n)} + 1)`);
      if (!/^0+$/.test(n.value)) replace("off by one", n, `(${text(n)} - 1)`);
    },
    IndexAccess(n) {
      const index = n.indexExpression;
      if (/^uint/.test(type(index)) && index.nodeType !== "Literal") replace("off by one", index, `(${text(index)} + 1)`);
    },
    IfStatement(n) {
      replace("condition", n.condition, "true");
      replace("condition", n.condition, "false");
    },
    WhileStatement(n) { replace("condition", n.condition, "false"); },
    ForStatement(n) { if (n.condition) replace("condition", n.condition, "false"); },
    Conditional(n) { replace("condition", n.condition, `!(${text(n.condition)})`); },
    ExpressionStatement(n, head) {
      if (head) return;
      const check = n.expression.nodeType === "FunctionCall" && n.expression.expression.name === "require";
      // The statement's range ends before its semicolon.
      propose(check ? "removed require" : "removed statement", at(n)[0], at(n)[1] + 1, "{}");
    },
    EmitStatement(n) { propose("removed statement", at(n)[0], at(n)[1] + 1, "{}"); },
    ModifierInvocation(n) { if (n.kind !== "baseConstructorSpecifier") replace("removed require", n, ""); },
    FunctionCall(n) {
      for (let i = 0; i + 1 < n.arguments.length; ++i) {
        const [a, b] = [n.arguments[i], n.arguments[i + 1]];
        if (!type(a) || type(a) !== type(b) || text(a) === text(b)) continue;
        const [start, end] = [at(a)[0], at(b)[0] + at(b)[1]];
        const between = bytes.subarray(at(a)[0] + at(a)[1], at(b)[0]).toString();
        propose("swapped arguments", start, end - start, text(b) + between + text(a));
      }
    },
    YulFunctionCall(n) {
      const now = YUL[n.functionName.name];
      if (now) replace("operator", n.functionName, now);
    },
    YulLiteral(n) {
      if (n.kind !== "number") return;
      const value = BigInt(n.value);
      replace("off by one", n, String(value + 1n));
      if (value > 0n) replace("off by one", n, String(value - 1n));
    },
    YulIf(n) { replace("condition", n.condition, "1"); replace("removed statement", n, "{}"); },
    YulAssignment(n, head) { if (!head) replace("removed statement", n, "{}"); },
    YulExpressionStatement(n) { replace("removed statement", n, "{}"); },
  };
  visit(ast, false);
  return out;
}

module.exports = { mutants, importsOf };
