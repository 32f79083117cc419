// Whose entries a form holds, and what the browser would send.
import { attribute, createElement } from "./page.js";
import { frontToken } from "./sdk_cookies.js";

// Whether the form was typed by whoever is signed in now. Its mark is what form_owner() in forms.py
// makes of a user id: FNV-1a over UTF-8. It tells users of this browser apart, and proves nothing.
export function isOwner(form) {
  const { uid } = frontToken();
  if (typeof uid !== "string" || !uid) return false;
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(uid)) hash = Math.imul(hash ^ byte, 0x01000193);
  return attribute(form, "data-ssr-owner") === (hash >>> 0).toString(16).padStart(8, "0");
}

// What the pressed button says goes before what its form says.
function effectiveAttribute(name, form, button) {
  return (button && attribute(button, `form${name}`)) ?? attribute(form, name);
}

// Whether the browser would now post the form to this site.
export function isSameOriginPost(form, button) {
  // Where an image was pressed, only the browser itself can send.
  if (button && attribute(button, "type")?.toLowerCase() === "image") return false;
  if (effectiveAttribute("method", form, button)?.toLowerCase() !== "post") return false;
  const action = effectiveAttribute("action", form, button) || location.href;
  return new URL(action, document.baseURI).origin === location.origin;
}

// Whether FormData takes the pressed button along; an older one looks at nothing but the form.
export function supportsSubmitter() {
  try {
    return !new FormData(createElement("form"), createElement("div"));
  } catch {
    return true;
  }
}

// What the browser would send now, in a form of our own: as soon as theirs is on its way, pages
// disable its button or empty its fields; and their handlers, which have run, must not run twice.
export function snapshotForm(form, button) {
  const copy = createElement("form");
  for (const name of ["action", "enctype", "method", "rel", "target"]) {
    const value = effectiveAttribute(name, form, button);
    if (value !== null) copy.setAttribute(name, value);
  }
  copy.acceptCharset = attribute(form, "accept-charset") ?? "";
  copy.hidden = true;
  for (const [name, value] of new FormData(form, button)) {
    const field = createElement("input");
    field.type = typeof value === "string" ? "hidden" : "file";
    field.name = name;
    if (field.type === "hidden") {
      field.value = value;
    } else if (value.name || value.size) {
      const files = new DataTransfer();
      files.items.add(value);
      field.files = files.files;
    }
    copy.append(field);
  }
  return copy;
}

export function submitSnapshot(copy) {
  document.documentElement.append(copy);
  // A field may well be called "submit" or "remove".
  HTMLFormElement.prototype.submit.call(copy);
  setTimeout(() => Element.prototype.remove.call(copy));
}
