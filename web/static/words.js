// The words that scripts say: the page brings them, in its language.
//
//   words("attempt", { number: 3 })

const known = JSON.parse(document.documentElement.dataset.words);

export function words(name, values = {}) {
  return known[name].replace(/\{(\w+)\}/g, (_, place) => values[place]);
}
