// Tells whether the visitor has entered anything that a reload would lose.
import { attribute, createElement, queryAll } from "./page.js";

const FIELDS = ["input", "select", "textarea"];

// True after typing into an element that has no default to compare with: editable text, or a field
// in a shadow tree.
let hasTyped = false;

addEventListener("input", ({ target }) => {
  if (!FIELDS.includes(target.localName)) hasTyped = true;
}, true);
addEventListener("turbo:load", () => {
  hasTyped = false; // Turbo has replaced the body
});

export function hasEntries() {
  return hasTyped || [...queryAll(FIELDS.join())].some(isChanged);
}

// The value of a new field is the default one, as the browser corrects it: a range has 50.
function isChanged(field) {
  if (field.localName === "textarea") return field.value !== field.defaultValue;
  if (field.localName === "select") {
    const { options } = field.cloneNode(true); // in SVG, an element of this name has none
    return [...(field.options ?? [])].some(({ selected }, index) => selected !== options[index].selected);
  }
  const fresh = createElement("input");
  // The type comes last, so that the default is corrected by all the others at once.
  for (const name of ["min", "max", "step", "multiple", "value", "type"]) {
    const value = attribute(field, name);
    if (value !== null) fresh.setAttribute(name, value);
  }
  return field.value !== fresh.value || field.checked !== field.defaultChecked;
}

// Firefox fills the fields of a reloaded page in again, unless a form has reset them.
export function resetFields() {
  const rest = createElement("form");
  rest.id = "ssr-session-fields";
  queryAll(":root")[0].append(rest);
  const free = [...queryAll(FIELDS.join())].filter((field) => !field.form);
  for (const field of free) field.setAttribute("form", rest.id);
  for (const form of queryAll("form")) HTMLFormElement.prototype.reset.call(form);
  for (const field of free) field.removeAttribute("form");
  rest.remove();
}
