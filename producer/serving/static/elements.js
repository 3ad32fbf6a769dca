// Elements of the page, and their text.

export const byId = (id) => document.getElementById(id);

export function element(kind, content = "", name = "") {
  const made = document.createElement(kind);
  if (content) made.textContent = content;
  if (name) made.className = name;
  return made;
}

/** Set the text if it differs. Screen readers read every change, and a change ends a selection. */
export function text(where, content) {
  if (where.textContent !== content) where.textContent = content;
}
