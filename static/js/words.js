// The words of the scripts in the language of the page. The catalogue is Django's, which puts `django` into the window.
// Without it the English words are shown.

const catalogue = globalThis.django;

/** Return a sentence in the language of the page. */
export function gettext(sentence) {
  return catalogue?.gettext ? catalogue.gettext(sentence) : sentence;
}

/** The same for a sentence with a number: `one` for 1, otherwise `many`, as the language counts. */
export function ngettext(one, many, count) {
  if (catalogue?.ngettext) return catalogue.ngettext(one, many, count);
  return count === 1 ? one : many;
}

/** Put values in place of `%(name)s`. */
export function interpolate(sentence, values) {
  return sentence.replace(/%\((\w+)\)s/g, (whole, name) => (name in values ? String(values[name]) : whole));
}
